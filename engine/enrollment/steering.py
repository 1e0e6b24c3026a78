"""Whether a journey goes on, is paused or is stopped, read so that nobody falls between a pause and its end."""

from __future__ import annotations

from engine.store import JourneyState, Unit


def journey_state(unit: Unit, journey: str) -> JourneyState:
    """What a step of this journey has to obey now; `active` for one that was never deployed (a notice of ours).

    Under `paused` the transaction holds the journey's lock, so whoever is put on hold in it is there to be let on when
    a resume looks.
    """
    record = unit.journeys.find(journey)
    if record is not None and record.state == "paused":
        lock_journey(unit, journey)
        record = unit.journeys.find(journey)
    return "active" if record is None else record.state


def lock_journey(unit: Unit, journey: str) -> None:
    """Takes the lock under which a journey's record is changed. Profiles' locks come before it, never after."""
    unit.lock(f"journey/{journey}")
