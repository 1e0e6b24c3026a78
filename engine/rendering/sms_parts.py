"""How many parts a text message goes out in: carriers charge for each. Pure.

In the GSM 03.38 alphabet a message holds 160 places of seven bits, and an extended character takes two of them; one
character outside of it makes the whole message UCS-2, of 70 places, where an emoji takes two. A longer message goes out
in parts of 153 or 67 places, since each begins with a header; the two places of one character are never torn apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Each takes two places.
_EXTENDED = "\f^{}\\[~]|€"
_ALPHABET = frozenset(_BASIC + _EXTENDED)
#: Places in a message of one part, and in each of several.
_ROOM = {"GSM-7": (160, 153), "UCS-2": (70, 67)}


@dataclass(frozen=True, kw_only=True, slots=True)
class SmsSize:
    """What a text comes to."""

    encoding: Literal["GSM-7", "UCS-2"]
    #: Places of seven bits, or of sixteen.
    places: int
    parts: int


def sms_size(text: str) -> SmsSize:
    """What the text comes to as a text message."""
    encoding: Literal["GSM-7", "UCS-2"] = "GSM-7" if fits_gsm(text) else "UCS-2"
    doubles = frozenset(_EXTENDED) if encoding == "GSM-7" else None
    widths = [2 if (character in doubles if doubles else character > "\uffff") else 1 for character in text]
    whole, part = _ROOM[encoding]
    places = sum(widths)
    return SmsSize(encoding=encoding, places=places, parts=1 if places <= whole else _parts(widths, part))


def _parts(widths: list[int], room: int) -> int:
    parts, left = 1, room
    for width in widths:
        if width > left:
            parts, left = parts + 1, room
        left -= width
    return parts


def fits_gsm(text: str) -> bool:
    """True where the text goes out at seven bits; else one character makes the whole of it 16 bits."""
    return _ALPHABET.issuperset(text)


def outside_gsm(text: str) -> str:
    """The characters that make the text UCS-2, each once, in order."""
    return "".join(dict.fromkeys(character for character in text if character not in _ALPHABET))
