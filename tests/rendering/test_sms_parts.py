"""How many parts a text message goes out in, held against what Twilio's own calculator said (`sms_parts/record.js`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rendering.sms_parts import fits_gsm, outside_gsm, sms_size

RECORDED = json.loads((Path(__file__).parent / "sms_parts" / "recorded.json").read_text(encoding="utf-8"))


def test_every_recorded_text_comes_to_what_twilios_calculator_says() -> None:
    assert len(RECORDED) > 200
    for row in RECORDED:
        size = sms_size(row["text"])
        assert (size.encoding, size.parts) == (row["encoding"], row["parts"]), row["text"]


@pytest.mark.parametrize(
    ("text", "places", "parts"),
    [
        ("", 0, 1),
        ("a" * 160, 160, 1),
        ("a" * 161, 161, 2),
        ("€" * 80, 160, 1),
        ("a" * 152 + "€" + "a" * 153, 307, 3),
        ("ж" * 70, 70, 1),
        ("ж" * 71, 71, 2),
        ("🛒" * 35, 70, 1),
        ("ж" * 66 + "🛒" + "ж" * 66, 134, 3),
        ("a" * 159 + "ç", 160, 3),
    ],
)
def test_a_character_of_two_places_is_never_torn_apart(text: str, places: int, parts: int) -> None:
    size = sms_size(text)
    assert (size.places, size.parts) == (places, parts)


@given(st.text(max_size=700), st.characters())
def test_a_longer_text_never_takes_fewer_parts(text: str, more: str) -> None:
    longer = sms_size(text + more)
    assert longer.parts >= sms_size(text).parts
    assert longer.places > 0


def test_the_characters_that_cost_are_named_once_each() -> None:
    assert outside_gsm("It’s “5 €” and it’s ñ") == "’“”"
    assert fits_gsm("5 € ñ {x}")
    assert not fits_gsm("`")
