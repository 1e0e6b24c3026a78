"""The tables, as `migrations` creates them (a test compares the two).

A table's columns are the fields of its record, by name. Lists "by order of insertion" go by `seq`, which a replaced row
keeps. There are no foreign keys: ids are derived, so a record may be written before the one that it names, and what a
person leaves behind after erasure is named by id alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, Table, Text, text

from engine.storage.types import Instant, Instants, Json, Name, Nudged, Number, Words

#: The newest revision in `migrations/versions`: what this code reads and writes.
REVISION = "0009"

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)


def _partial(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


profiles = Table(
    "profiles",
    metadata,
    Column("profile_id", Name, primary_key=True),
    Column("external_id", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("chat", Json, nullable=False),
    Column("timezone", Text),
    Column("locale", Text),
    Column("attributes", Json, nullable=False),
    Column("created_at", Instant),
    Column("erased_at", Instant),
    Column("set_at", Instants),
)

identifiers = Table(
    "identifiers",
    metadata,
    Column("kind", Name, primary_key=True),
    Column("value", Name, primary_key=True),
    Column("profile_id", Name, nullable=False, index=True),
)

events = Table(
    "events",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("event_id", Name, nullable=False, unique=True),
    Column("profile_id", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("timestamp", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("properties", Json, nullable=False),
    Column("source", Text, nullable=False),
    Column("is_clamped", Boolean, nullable=False),
    # One for a person's whole history and for what happened under a name, which it tells without the row: every index
    # that is sorted by person or id costs each arriving event a page of its own.
    Index(None, "profile_id", "timestamp", "seq", "name"),
)

plans = Table(
    "plans",
    metadata,
    Column("digest", Name, primary_key=True),
    Column("journey", Name, nullable=False),
    Column("document", Text, nullable=False),
)

journeys = Table(
    "journeys",
    metadata,
    Column("journey", Name, primary_key=True),
    Column("digest", Name, nullable=False),
    Column("state", Text, nullable=False),
    Column("deployed_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("note", Text),
)

enrollments = Table(
    "enrollments",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("enrollment_id", Name, nullable=False, unique=True),
    Column("journey", Name, nullable=False),
    Column("digest", Name, nullable=False),
    Column("profile_id", Name, nullable=False),
    Column("key", Name),
    Column("number", Integer, nullable=False),
    Column("entered_at", Instant, nullable=False),
    Column("trigger_event_id", Name),
    Column("trigger_at", Instant, nullable=False),
    Column("trigger", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("ended_at", Instant),
    Column("converted_at", Instant),
    Column("step_id", Name),
    Column("visit", Integer, nullable=False),
    Column("reached_at", Instant),
    Column("wake_at", Instant),
    Column("waiting", Text),
    Column("awaits_since", Instant),
    Column("steps", Json, nullable=False),
    Column("entered_as", Text),
    Index(None, "entered_at", "seq"),
    Index(None, "profile_id", "entered_at", "seq"),
    Index(None, "journey", "entered_at", "seq"),
    Index(None, "journey", "profile_id", "key", "number"),
    Index("ix_enrollments_active", "profile_id", "entered_at", "enrollment_id", **_partial("state = 'active'")),
    Index("ix_enrollments_waking", "wake_at", **_partial("state = 'active' AND wake_at IS NOT NULL")),
    Index(None, "journey", "state", "converted_at"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("refusal_id", Name, nullable=False, unique=True),
    Column("journey", Name, nullable=False),
    Column("profile_id", Name, nullable=False),
    Column("key", Text),
    Column("reason", Text, nullable=False),
    Column("refused_at", Instant, nullable=False),
    Column("event_id", Name),
    Index(None, "profile_id", "refused_at", "seq"),
    Index(None, "journey", "refused_at", "seq"),
)

trail = Table(
    "trail",
    metadata,
    Column("enrollment_id", Name, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("what", Text, nullable=False),
    Column("step_id", Name),
    Column("visit", Integer, nullable=False),
    Column("detail", Json, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("delivery_id", Name, nullable=False, unique=True),
    Column("enrollment_id", Name, nullable=False),
    Column("journey", Name, nullable=False),
    Column("profile_id", Name, nullable=False),
    Column("step_id", Name, nullable=False),
    Column("visit", Integer, nullable=False),
    Column("channel", Name, nullable=False),
    Column("via", Name, nullable=False),
    Column("topic", Name, nullable=False),
    Column("template", Name, nullable=False),
    Column("status", Text, nullable=False),
    Column("to", Text, nullable=False),
    Column("is_marketing", Boolean, nullable=False),
    Column("is_test", Boolean, nullable=False),
    Column("claimed_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("first_attempt_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("provider_message_id", Name),
    Column("subject", Text),
    Column("html", Text),
    Column("text", Text),
    Column("error", Text),
    Index(None, "claimed_at", "seq"),
    Index(None, "profile_id", "claimed_at", "seq"),
    Index(None, "journey", "claimed_at", "seq"),
    Index(None, "status", "claimed_at", "seq"),
    Index("ix_deliveries_provided", "via", "provider_message_id", **_partial("provider_message_id IS NOT NULL")),
)

decisions = Table(
    "decisions",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("decision_id", Name, nullable=False, unique=True),
    Column("delivery_id", Name, nullable=False),
    Column("enrollment_id", Name, nullable=False),
    Column("journey", Name, nullable=False),
    Column("digest", Name, nullable=False),
    Column("profile_id", Name, nullable=False),
    Column("step_id", Name, nullable=False),
    Column("visit", Integer, nullable=False),
    Column("channel", Name, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("until", Instant),
    Column("inputs", Json, nullable=False),
    Index(None, "decided_at", "seq"),
    Index(None, "profile_id", "decided_at", "seq"),
    Index(None, "journey", "decided_at", "seq"),
    Index(None, "enrollment_id", "decided_at", "seq"),
)

consents = Table(
    "consents",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("consent_id", Name, nullable=False, unique=True),
    Column("profile_id", Name, nullable=False),
    Column("action", Text, nullable=False),
    Column("channel", Name),
    Column("topic", Name),
    Column("address_hash", Name),
    Column("basis", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("wording", Text),
    Column("expires_at", Instant),
    Column("evidence", Json, nullable=False),
    Index(None, "profile_id", "seq"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("suppression_id", Name, nullable=False, unique=True),
    Column("channel_kind", Name, nullable=False),
    Column("address_hash", Name, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    Index(None, "channel_kind", "address_hash", "seq"),
)

# The numbers of both queues are never used again (on SQLite that takes AUTOINCREMENT): whoever removes a row by its
# number after delivering it must not meet another row that has got the number since.
occurrences = Table(
    "occurrences",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("profile_id", Name, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref", Name, nullable=False),
    Column("detail", Json, nullable=False),
    Column("at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("fault", Text),
    Column("retry_at", Instant),
    Column("set_aside_at", Instant),
    # Whose turn it is, where several take occurrences at once. On SQLite one at a time does, in their order: only those
    # that failed can hold up a later one. (A merge reads the queue through there: it holds what is under way.)
    Index(None, "profile_id", "seq").ddl_if(dialect="postgresql"),
    Index("ix_occurrences_failed", "profile_id", "seq", **_partial("attempts > 0")),
    sqlite_autoincrement=True,
)

stimuli = Table(
    "stimuli",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("enrollment_id", Name, nullable=False),
    Column("input", Nudged, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Index(None, "not_before", "seq"),
    Index(None, "enrollment_id", "seq"),
    sqlite_autoincrement=True,
)

dues = Table(
    "dues",
    metadata,
    Column("kind", Name, primary_key=True),
    Column("profile_id", Name, primary_key=True),
    Column("subject", Name, primary_key=True),
    Column("due_at", Instant, nullable=False),
    Column("basis", Text, nullable=False),
    Index(None, "due_at", "kind", "profile_id", "subject"),
    Index(None, "profile_id"),
)

circuits = Table(
    "circuits",
    metadata,
    Column("channel", Name, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("probes", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("opened_at", Instant),
    Column("probe_at", Instant),
    Column("probing", Name),
)

memberships = Table(
    "memberships",
    metadata,
    Column("profile_id", Name, primary_key=True),
    Column("segment", Name, primary_key=True),
    Column("is_member", Boolean, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("definition", Text),
    Column("told", Boolean),
    Index(None, "segment", "is_member", "profile_id"),
)

links = Table(
    "links",
    metadata,
    Column("token_hash", Name, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("profile_id", Name, nullable=False, index=True),
    Column("delivery_id", Name),
    Column("channel", Name),
    Column("topic", Name),
    Column("address_hash", Name),
    Column("url", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", Name, primary_key=True),
    Column("name", Name, nullable=False),
    Column("scopes", Words, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

imports = Table(
    "imports",
    metadata,
    Column("import_id", Name, primary_key=True),
    Column("progress", Json, nullable=False),
    Column("committed_at", Instant, nullable=False),
)
