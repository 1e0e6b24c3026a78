"""What several pages are made of: tables, tags, instants, links, and what to call people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from engine.delivery.model import Decision, Delivery
from engine.enrollment.model import Enrollment
from engine.insight import people
from engine.insight.words import OUTCOMES
from engine.store import Unit
from engine.web.pages import Markup, html, table

#: Rows on a page.
SHOWN = 50
_GOOD = ("sent", "delivered", "opened", "clicked", "converted", "active")
_BAD = ("failed", "bounced", "complained", "render_error", "in_doubt", "stopped")
_WAITING = ("quiet", "capped", "retrying", "claimed", "paused", "waits")


def deliveries_table(deliveries: Sequence[Delivery], names: Mapping[str, str]) -> Markup:
    """Deliveries, newest first."""
    return table(
        ("When (UTC)", "Profile", "Journey", "Step", "Channel", "Status"),
        (
            (
                time(one.sent_at or one.claimed_at),
                person_link(one.profile_id, one.journey, names),
                one.journey,
                one.step_id,
                one.channel if one.via == one.channel else f"{one.channel} via {one.via}",
                html("{tag} {words}", tag=tag(one.status), words="a test" if one.is_test else None),
            )
            for one in reversed(deliveries)
        ),
        empty="No message yet.",
    )


def decisions_table(decisions: Sequence[Decision], names: Mapping[str, str]) -> Markup:
    """Decisions, newest first."""
    return table(
        ("When (UTC)", "Profile", "Journey", "Step", "Channel", "Decision"),
        (
            (
                time(one.decided_at),
                person_link(one.profile_id, one.journey, names),
                one.journey,
                one.step_id,
                one.channel,
                html("{tag} {words}", tag=tag(one.outcome), words=_words(one)),
            )
            for one in reversed(decisions)
        ),
        empty="No decision yet.",
    )


def _words(decision: Decision) -> str | None:
    if decision.outcome != "sent":
        return OUTCOMES[decision.outcome]
    return "a test" if "test_by" in decision.inputs else None


def tag(code: str) -> Markup:
    """A status or an outcome, in its colour."""
    tone = "good" if code in _GOOD else "bad" if code in _BAD else "wait" if code in _WAITING else ""
    return html('<span class="tag {tone}">{words}</span>', tone=tone, words=code.replace("_", " "))


def time(instant: datetime | None) -> Markup | None:
    """An instant, to the second, in UTC."""
    if instant is None:
        return None
    return html(
        '<time datetime="{iso}">{words}</time>',
        iso=people.iso(instant),
        words=instant.strftime("%Y-%m-%d %H:%M:%S"),
    )


def link(to: str, words: str) -> Markup:
    """A link within the dashboard."""
    return html('<a href="{to}">{words}</a>', to=to, words=words)


def person_link(profile_id: str, journey: str, names: Mapping[str, str]) -> Markup:
    """A link to why this person got what they got from a journey."""
    return link(f"/people?name={quote(profile_id)}&journey={quote(journey)}", names[profile_id])


def names_of(unit: Unit, *records: Sequence[Delivery | Decision | Enrollment]) -> dict[str, str]:
    """What to call each person: the shop's id, which those who run it know, else ours."""
    return people.names(unit, (record.profile_id for group in records for record in group))
