"""A keyword is definitive, wording like it is suspected, and "don't stop" is neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.consent.replies import classify_reply


@pytest.mark.parametrize(
    "text",
    [
        "STOP", " stop. ", "ＳＴＯＰ", "Stop!", "“stop”", "STOP\u200b", "\n\tstop\r\n", "stop all", "STOPALL",
        "STOP 🛑", "quit", "End", "REVOKE", "Opt out!", "opt\u00a0out", "opt-out", "OPTOUT", "Cancel", "UNSUBSCRIBE",
        "ARRET", "Arrêt",
    ],
)  # fmt: skip
def test_a_keyword_alone_is_stop_in_any_case_width_and_punctuation(text: str) -> None:
    assert classify_reply(text) == "stop"


@pytest.mark.parametrize(
    "text",
    [
        "please stop texting me", "stop please", "STOP IT", "S T O P", "S-T-O-P", "St0p", "5top", "$top", "stopp", "🛑",
        "Please cancel", "cancel my subscription", "I want to unsubscribe", "unsuscribe", "please opt me out",
        "don’t text me anymore", "don't text me, stop", "do not contact me again", "never message me again",
        "no, don't. Stop.", "No, stop!", "dont stop believing but stop texting me", "who is this? stop",
        "I don't want to receive these", "remove me", "take me off your list", "leave me alone", "wrong number",
        "no more messages", "no texts", "end these texts", "quit texting me", "lose my number",
        "no mas", "no más", "no quiero mas", "dejen de escribirme",
    ],
)  # fmt: skip
def test_what_resembles_a_revocation_is_suspected(text: str) -> None:
    assert classify_reply(text) == "revocation"


@pytest.mark.parametrize(
    "text",
    [
        "don't stop", "Don’t stop!", "dont stop", "Please do not stop", "never stop", "I don't want to stop", "nonstop",
        "please do not unsubscribe me", "I can't stop smiling", "the end", "end of the week?", "when does it end",
        "cancel my order", "I quit smoking", "hello", "", "thanks", "no", "yes", "where is my order?", "send me more",
        "no this is great", "para mi madre", "👍",
    ],
)  # fmt: skip
def test_what_says_neither_is_just_talk(text: str) -> None:
    assert classify_reply(text) == "other"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("HELP", "help"), ("Info?", "help"), ("START", "start"), ("unstop.", "start"), ("help me", "other")],
)
def test_help_and_start_are_keywords_too(text: str, meaning: str) -> None:
    assert classify_reply(text) == meaning


@pytest.mark.parametrize("text", ["YES", "yes.", "Sí", "y"])
def test_a_yes_answers_a_question_only_where_one_was_asked(text: str) -> None:
    assert classify_reply(text, is_pending=True) == "confirm"
    assert classify_reply(text) == "other"
    assert classify_reply("STOP", is_pending=True) == "stop"


@given(st.text(max_size=300))
def test_any_text_at_all_has_a_meaning(text: str) -> None:
    assert classify_reply(text) in ("stop", "start", "help", "revocation", "other")


def test_an_endless_text_is_read_only_so_far() -> None:
    assert classify_reply("hm " * 1_000_000) == "other"
    assert classify_reply("do not " * 1_000_000) == "other"
