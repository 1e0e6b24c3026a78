"""Reasons in words: what an outcome, a refusal, an end or a line of the trail says to the person who asks why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.delivery.model import Decision, Status
from engine.enrollment.model import TrailEntry
from engine.plan.model import Outcome

REFUSALS: Mapping[str, str] = {
    "held_back": "the journey was paused or stopped",
    "too_late": "the event was too old when it arrived (`entry.ignore_older_than`)",
    "no_key": "the entry key is missing",
    "already_met": "an event that would end it was already there",
    "not_matched": "the entry condition was false",
    "active": "an enrollment under this key was already live",
    "again": "the re-entry rule does not let this person in yet",
    "limit": "the journey's entry limit was reached",
}

ENDINGS: Mapping[str, str] = {
    "completed": "all steps were done",
    "exit": "an exit condition was met",
    "goal": "the goal was reached",
    "restarted": "a new trigger began it anew",
    "past": "the moment to wait for had already passed",
    "stopped": "the journey was stopped",
    "erased": "the person was erased",
    "merged": "the person was found to be another profile, which had one under this key",
}

OUTCOMES: Mapping[Outcome, str] = {
    "sent": "sent",
    "held_out": "held out: part of the share that gets no message, for comparison",
    "ended": "not sent: the enrollment was over",
    "expired": "not sent: too late",
    "unreachable": "not sent: the person has no address on this channel",
    "suppressed": "not sent: the address is blocked",
    "no_consent": "not sent: no valid consent for this topic and channel",
    "quiet": "held back: quiet hours, or outside the sending window",
    "capped": "held back: a frequency cap is reached",
    "render_error": "not sent: the template could not be rendered",
    "failed": "not sent: the provider did not take it",
    "in_doubt": "in doubt: the provider may have taken it, nobody knows",
}

STATUSES: Mapping[Status, str] = {
    "claimed": "claimed: about to be handed to the provider",
    "retrying": "waits for the next attempt",
    "sent": "taken by the provider",
    "held_out": "held out",
    "failed": "failed",
    "in_doubt": "in doubt",
    "delivered": "delivered",
    "bounced": "bounced",
    "complained": "marked as spam",
    "opened": "opened",
    "clicked": "clicked",
}

_WAITS: Mapping[str, str] = {
    "timer": "waits",
    "event": "waits for an event",
    "quiet": "waits for the end of quiet hours or for its window",
    "capped": "waits until the caps allow it",
    "retry": "waits for the next attempt",
    "every": "waits for the next pass",
}


def decision_words(decision: Decision) -> str:
    """What was decided for a send, on which channel, and until when it is held."""
    until = f", until {decision.until.isoformat().replace('+00:00', 'Z')}" if decision.until else ""
    what = OUTCOMES[decision.outcome]
    if decision.inputs.get("circuit") == "open":
        what = "the provider is out: another channel of the step takes over"
        if decision.until:
            what = "held back: the provider is out; it goes as soon as that is back"
    what = f"a test, {what}" if "test_by" in decision.inputs else what
    return f"{decision.channel}: {what}{until}"


def trail_words(entry: TrailEntry) -> str:
    """One line of an enrollment's trail."""
    detail = entry.detail
    match entry.what:
        case "entered":
            return "entered"
        case "reached":
            return "step reached"
        case "passed_over":
            return "step passed over: its condition was false"
        case "waits":
            return _WAITS.get(str(detail.get("why")), "waits") + _until(detail)
        case "chose":
            return f"went on to {detail['goto']}" if detail.get("goto") else "went on to the next step"
        case "set":
            return f"set {', '.join(detail.get('names', ()))}"
        case "emitted":
            return "recorded an event"
        case "started":
            if detail.get("enrollment_id"):
                return f"enrolled the person in {detail.get('journey')}"
            return f"could not enroll the person in {detail.get('journey')}"
        case "called":
            return "called, and got an answer" if detail.get("answered") else "called, and got no answer"
        case "converted":
            return "converted: the goal event came"
        case "resolved":
            note = f": {detail['note']}" if detail.get("note") else ""
            return f"{detail.get('actor')} resolved the message in doubt as `{detail.get('as')}`{note}"
        case "moved":
            return f"moved to version {detail.get('version')} by a deploy"
        case "ended":
            reason = str(detail.get("reason"))
            return f"ended ({reason}): {ENDINGS.get(reason, 'as its author says')}"
        case other:
            return other.replace("_", " ")


def _until(detail: Mapping[str, Any]) -> str:
    until = detail.get("until")
    return f" until {str(until).replace('+00:00', 'Z')}" if until else ""
