"""Whether a person has something in a table of the past: an enrollment, a message, a grant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import FromClause, Text, exists, false, func, literal_column, select

from engine.delivery.model import TAKEN
from engine.project import Project
from engine.storage.segments.fields import Rows
from engine.storage.segments.terms import is_text_for_sql
from engine.storage.segments.verdicts import NEVER, UNKNOWN, Exact, Sql, Verdict, all_of, any_of, negated
from engine.storage.tables import consents, deliveries, enrollments, profiles
from engine.storage.types import Instant

#: The id of the person whom a row of `people` is about.
PERSON: Sql = literal_column("people.profile_id", Text)


def is_enrolled(journey: str) -> Verdict:
    """Whether an enrollment in the journey lives."""
    if not is_text_for_sql(journey):
        return UNKNOWN
    is_active = enrollments.c.state == literal_column("'active'")
    return _there_is(enrollments, is_active, enrollments.c.journey == journey)


def has_received(journey: str, after: datetime | None) -> Verdict:
    """Whether a message of the journey was sent, after a moment or ever."""
    if not is_text_for_sql(journey):
        return UNKNOWN
    taken = func.coalesce(deliveries.c.sent_at, deliveries.c.claimed_at, type_=Instant)
    conditions = [deliveries.c.is_test == false(), deliveries.c.journey == journey, deliveries.c.status.in_(TAKEN)]
    return _there_is(deliveries, *conditions, *([] if after is None else [taken > after]))


def has_consent(project: Project, people: Rows, channel_name: str, topic_name: str) -> Verdict:
    """Whether a message on a channel and topic would find consent. The ledger is memory's to fold; but without an
    address or a grant there is no consent, and without a denial no objection."""
    channel, topic = project.channels.get(channel_name), project.topics.get(topic_name)
    if channel is None or topic is None:
        return NEVER
    has_address: Verdict = UNKNOWN
    if channel.kind != "chat":
        name = "email" if channel.kind == "email" else "phone"
        has_address = Exact(people.column(f"own_{name}", profiles.c[name]).is_not(None))
    if topic.kind != "marketing":
        return has_address
    if topic.basis == "legitimate_interest":
        is_denied = _there_is(consents, consents.c.action.in_(("withdraw", "object")))
        return all_of([has_address, any_of([negated(is_denied), UNKNOWN])])
    granted = _there_is(
        consents,
        consents.c.action == "grant",
        consents.c.channel == channel_name,
        consents.c.topic == topic_name,
    )
    return all_of([has_address, granted, UNKNOWN])


def _there_is(table: FromClause, *conditions: Sql) -> Verdict:
    return Exact(exists(select(1).where(table.c.profile_id == PERSON, *conditions)))
