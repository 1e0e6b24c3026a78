"""The holdout is stable per profile and journey, and as large as it says."""

from __future__ import annotations

from engine.policy.holdout import is_held_out

PEOPLE = [f"p{number:024x}" for number in range(4000)]


def held_out(journey: str, share: int) -> set[str]:
    return {profile for profile in PEOPLE if is_held_out(journey, profile, share)}


def test_nobody_and_everybody_are_exact() -> None:
    assert held_out("spring", 0) == set()
    assert held_out("spring", 10_000) == set(PEOPLE)


def test_a_tenth_is_about_a_tenth_and_grows_without_moving_anybody() -> None:
    tenth, fifth = held_out("spring", 1000), held_out("spring", 2000)
    assert 320 < len(tenth) < 480
    assert tenth < fifth


def test_each_journey_draws_anew() -> None:
    spring, summer = held_out("spring", 5000), held_out("summer", 5000)
    assert 800 < len(spring & summer) < 1200
