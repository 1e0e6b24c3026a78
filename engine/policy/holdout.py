"""The holdout: people who pass every gate and are not sent to, so that a journey's effect can be measured. Pure."""

from __future__ import annotations

from engine.ids import bucket


def is_held_out(journey: str, profile_id: str, share: int) -> bool:
    """Whether a profile is in the holdout of a journey; `share` is in hundredths of a percent (0 to 10000)."""
    # A salt of its own: a journey's holdout says nothing about the sides of its splits.
    return bucket(f"holdout:{journey}", profile_id) < share
