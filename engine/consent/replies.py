"""What a person's reply means: the carriers' keywords, and wording that sounds like a revocation. Pure.

A keyword alone (in any case, width and punctuation) is definitive. Everything else that sounds like one is not: it
suppresses and is looked at by a person, for to take a revocation for small talk is worse than the reverse. What says
"don't stop" says neither.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

#: `confirm` is a yes to a double opt-in that is pending; nothing else asks a question.
ReplyMeaning = Literal["stop", "start", "help", "confirm", "revocation", "other"]

_STOP = frozenset(
    {"stop", "stop all", "stopall", "quit", "end", "revoke", "opt out", "optout", "cancel", "unsubscribe", "arret"}
)
_START = frozenset({"start", "unstop"})
_HELP = frozenset({"help", "info"})
_YES = frozenset({"yes", "y", "si", "oui", "ja", "ok"})
#: Nobody says more than this to a shop's number; the rest is not read.
_LONGEST = 2_000

_CLAUSES = re.compile(r"[.,;:!?\n]+")
_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "@": "a", "$": "s"})
_STOP_SIGNS = ("🛑", "✋", "🚫", "⛔")
_POLITE = frozenset(
    {"please", "pls", "plz", "now", "thanks", "thank", "you", "thx", "ok", "it", "this", "por", "favor"}
)
_FILLERS = "(?:want|wanted|wish|you|ever|please|dare|to|me)"
#: `don't stop`: taken out before the rest is read.
_NOT_STOPPING = re.compile(
    rf"\b(?:dont|do not|never|not|cant|cannot|wont|will not|didnt)(?: {_FILLERS}){{0,3}}"
    r" (?:stop\w*|unsub\w*|quit\w*|cancel\w*|end|opt out|optout|revoke|remove)\b"
)
_MESSAGES = "subscription|messages?|msgs?|texts?|sms|emails?|mails?|spam|ads|marketing"
_REVOCATIONS = re.compile(
    r"\b(?:"
    r"sto+p+(?:all|ping|it)?|unsu\w*|opt(?:ing)? (?:me )?out|opt me out|optout|revoke|revoking"
    r"|(?:dont|do not|never|quit|cease)(?: (?:you|ever|want|to|be|please|get))*"
    r" (?:text|texts|texting|texted|message|messages|messaging|msg|contact|contacting|write|writing|email|emails"
    r"|emailing|mail|mailing|sms|send|sending|call|calling|bother|bothering|spam|spamming|hear|receive)"
    rf"|(?:cancel|end|quit|delete|no more)(?: (?:my|all|the|your|more|of))* (?:{_MESSAGES}|these|this|them|it)"
    rf"|no (?:{_MESSAGES})"
    r"|(?:cancel|delete|lose|forget) (?:my|this) (?:number|phone|subscription)"
    r"|remove (?:me|my|this)|take me off|leave me alone|wrong number|not interested|no longer (?:want|wish|interested)"
    r"|no mas|no quiero|basta|baja|darme de baja|dejen?(?:me)?|parar|arrete[rz]?|desabonn\w*|desinscri\w*"
    r"|abmelden|abbestellen|keine (?:sms|nachrichten|mails?)|cancellami|disiscriv\w*"
    r")\b"
)


def classify_reply(text: str, *, is_pending: bool = False) -> ReplyMeaning:
    """What a reply means; `is_pending` says that a double opt-in awaits this person's yes on this channel."""
    words = _normal(text[:_LONGEST])
    if words in _STOP:
        return "stop"
    if words in _START:
        return "start"
    if words in _HELP:
        return "help"
    if is_pending and words in _YES:
        return "confirm"
    return "revocation" if _sounds_like_revocation(text[:_LONGEST]) else "other"


def _sounds_like_revocation(text: str) -> bool:
    if any(sign in text for sign in _STOP_SIGNS):
        return True
    for spelt in (text, text.translate(_LEET)):
        # Clause by clause: "don't stop" says no, "no, don't. Stop." says stop.
        rest = " ".join(_NOT_STOPPING.sub(" ", _normal(clause)) for clause in _CLAUSES.split(spelt))
        letters = rest.split()
        bare = " ".join(word for word in letters if word not in _POLITE)
        if bare in _STOP or _REVOCATIONS.search(" ".join(letters)):
            return True
        if all(len(letter) == 1 for letter in letters) and "".join(letters) in _STOP:  # S T O P
            return True
    return False


def _normal(text: str) -> str:
    """Lower-case words with single spaces: width, accents, punctuation, symbols, invisible characters folded away."""
    folded = []
    for character in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()):
        match unicodedata.category(character)[0]:
            case "L" | "N":
                folded.append(character)
            case "Z":
                folded.append(" ")
            case _ if character in "\n\r\t-_/–—":
                folded.append(" ")
            case _:  # marks, other punctuation, symbols, zero-width and control characters
                pass
    return " ".join("".join(folded).split())
