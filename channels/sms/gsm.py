"""The GSM 03.38 alphabet: what an SMS can hold at seven bits a character."""

from __future__ import annotations

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Each takes two places.
_EXTENDED = "\f^{}\\[~]|€"
_ALPHABET = frozenset(_BASIC + _EXTENDED)


def fits_gsm(text: str) -> bool:
    """True where the text goes out at seven bits; else one character makes the whole of it 16 bits."""
    return _ALPHABET.issuperset(text)
