"""Journeys of our own: the messages that answer a person's own act and that no author writes.

They are plans like any other, so they are claimed, retried, recorded and explained like any other message. Their names
begin with an underscore, which no authored journey's can.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from engine.plan.model import UNSENT, ApiTrigger, Entry, Otherwise, Plan, Send

#: `confirm` asks for the confirmation of a pending grant; `help` and `stopped` answer HELP and STOP.
Notice = Literal["confirm", "help", "stopped"]
NOTICES: tuple[Notice, ...] = ("confirm", "help", "stopped")
#: The topic of what asks for a confirmation: transactional, so never over a block.
CONFIRMING = "_confirming"
#: The topic of answers to the person's own word: the only messages that pass the block which that word has just set.
ANSWERING = "_answering"


def notice_name(notice: Notice, channel: str) -> str:
    """The journey's name: one for each channel."""
    return f"_{notice}_{channel}"


def is_notice(journey: str) -> bool:
    return journey.startswith("_")


def notice_plans(channels: Iterable[str]) -> tuple[Plan, ...]:
    """The plans of all notices on these channels."""
    return tuple(_plan(notice, channel) for channel in channels for notice in NOTICES)


def _plan(notice: Notice, channel: str) -> Plan:
    topic = CONFIRMING if notice == "confirm" else ANSWERING
    step = Send(
        step_id=notice,
        channels=(channel,),
        template=f"system/{notice}",
        topic=topic,
        values={"topic_title": "= coalesce(trigger.topic_title, trigger.topic)"} if notice == "confirm" else {},
        # An answer that could not be given at once answers nothing any more.
        expires_seconds=None if notice == "confirm" else 300,
        otherwise={outcome: Otherwise(action="skip") for outcome in UNSENT},
    )
    return Plan(
        journey=notice_name(notice, channel),
        title={"confirm": "Asks for confirmation", "help": "Answers HELP", "stopped": "Answers STOP"}[notice],
        triggers=(ApiTrigger(),),
        entry=Entry(key="trigger.topic" if notice == "confirm" else None),
        first=step.step_id,
        steps={step.step_id: step},
    )
