"""What an author may have meant: near misses of names, and habits of other languages where the grammar gives up."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from difflib import get_close_matches

_TEXTS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)

#: Looked for in the text without its quoted parts; the first that is found gives the place and the hint.
_HABITS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("[\u201c\u201d\u2018\u2019\u00ab\u00bb]"), "write straight quotes: \" or '"),
    (re.compile(r"&&"), "write `and`"),
    (re.compile(r"\|\|"), "write `or`"),
    (re.compile(r"==="), "write `==`"),
    (re.compile(r"!=="), "write `!=`"),
    (re.compile(r"<>"), "write `!=`"),
    (re.compile(r"!(?!=)"), "write `not`"),
    (re.compile(r"=>"), "write `>=`"),
    (re.compile(r"=<"), "write `<=`"),
    (re.compile(r"\?"), "there is no `?`: use a branch, or `coalesce(a, b)` for a missing value"),
    (re.compile(r"\b(?:AND|OR|NOT|IN)\b"), "write `and`, `or`, `not`, `in` in small letters"),
    (re.compile(r"\$"), "names have no `$`: write `profile.plan`"),
    (re.compile(r"\b\d+[smhdw]\b"), 'a duration is written `days(3)`, or `within="3d"` inside a function'),
    (re.compile(r"(?<![=!<>])=(?!=)"), "to compare, write `==`"),
)
_KEYWORD_NAME = re.compile(rf"\.\s*({'|'.join(keyword.kwlist)})\b")


def near(name: str, known: Iterable[str]) -> str:
    """``did you mean `a` or `b`?``: at most three known names that look like this one, or nothing."""
    names = sorted(set(known))
    by_case: dict[str, str] = {}
    for candidate in names:
        by_case.setdefault(candidate.casefold(), candidate)
    close = get_close_matches(name.casefold(), list(by_case), n=3, cutoff=0.7)
    return f"did you mean {' or '.join(f'`{by_case[match]}`' for match in close)}?" if close else ""


def habit(text: str) -> tuple[int, str] | None:
    """Where text that does not parse shows another language's habit, and what to write instead; None if nowhere."""
    bare = _TEXTS.sub(lambda quoted: '"' + " " * (len(quoted.group()) - 2) + '"', text)
    word = _KEYWORD_NAME.search(bare)
    if word:
        return word.start(1), f'`{word[1]}` is a word of the language: write ["{word[1]}"], as in event["{word[1]}"]'
    found = [(match.start(), hint) for pattern, hint in _HABITS if (match := pattern.search(bare))]
    return found[0] if found else None
