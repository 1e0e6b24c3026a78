"""The tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.storage.types import Instant, Json, Name, Nudged, Number, Words

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "profiles",
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("external_id", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("phone", sa.Text),
        sa.Column("chat", Json, nullable=False),
        sa.Column("timezone", sa.Text),
        sa.Column("locale", sa.Text),
        sa.Column("attributes", Json, nullable=False),
        sa.Column("created_at", Instant),
        sa.Column("erased_at", Instant),
        sa.PrimaryKeyConstraint("profile_id"),
    )
    op.create_table(
        "identifiers",
        sa.Column("kind", Name, nullable=False),
        sa.Column("value", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
    )
    op.create_index("ix_identifiers_profile_id", "identifiers", ["profile_id"])
    op.create_table(
        "events",
        sa.Column("seq", Number, nullable=False),
        sa.Column("event_id", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("timestamp", Instant, nullable=False),
        sa.Column("received_at", Instant, nullable=False),
        sa.Column("properties", Json, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("is_clamped", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("event_id", name="uq_events_event_id"),
    )
    op.create_index("ix_events_profile_id_name_timestamp_seq", "events", ["profile_id", "name", "timestamp", "seq"])
    op.create_index("ix_events_profile_id_timestamp_seq", "events", ["profile_id", "timestamp", "seq"])
    op.create_table(
        "plans",
        sa.Column("digest", Name, nullable=False),
        sa.Column("journey", Name, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "journeys",
        sa.Column("journey", Name, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("deployed_at", Instant, nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("journey"),
    )
    op.create_table(
        "enrollments",
        sa.Column("seq", Number, nullable=False),
        sa.Column("enrollment_id", Name, nullable=False),
        sa.Column("journey", Name, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("key", Name),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("entered_at", Instant, nullable=False),
        sa.Column("trigger_event_id", Name),
        sa.Column("trigger_at", Instant, nullable=False),
        sa.Column("trigger", Json, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("ended_at", Instant),
        sa.Column("converted_at", Instant),
        sa.Column("step_id", Name),
        sa.Column("visit", sa.Integer, nullable=False),
        sa.Column("reached_at", Instant),
        sa.Column("wake_at", Instant),
        sa.Column("waiting", sa.Text),
        sa.Column("awaits_since", Instant),
        sa.Column("steps", Json, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("enrollment_id", name="uq_enrollments_enrollment_id"),
    )
    op.create_index(
        "ix_enrollments_active",
        "enrollments",
        ["profile_id", "entered_at", "enrollment_id"],
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index("ix_enrollments_entered_at_seq", "enrollments", ["entered_at", "seq"])
    op.create_index("ix_enrollments_journey_entered_at_seq", "enrollments", ["journey", "entered_at", "seq"])
    op.create_index(
        "ix_enrollments_journey_profile_id_key_number", "enrollments", ["journey", "profile_id", "key", "number"]
    )
    op.create_index("ix_enrollments_journey_state_converted_at", "enrollments", ["journey", "state", "converted_at"])
    op.create_index("ix_enrollments_profile_id_entered_at_seq", "enrollments", ["profile_id", "entered_at", "seq"])
    op.create_index(
        "ix_enrollments_waking",
        "enrollments",
        ["wake_at"],
        sqlite_where=sa.text("state = 'active' AND wake_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'active' AND wake_at IS NOT NULL"),
    )
    op.create_table(
        "refusals",
        sa.Column("seq", Number, nullable=False),
        sa.Column("refusal_id", Name, nullable=False),
        sa.Column("journey", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("refused_at", Instant, nullable=False),
        sa.Column("event_id", Name),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("refusal_id", name="uq_refusals_refusal_id"),
    )
    op.create_index("ix_refusals_journey_refused_at_seq", "refusals", ["journey", "refused_at", "seq"])
    op.create_index("ix_refusals_profile_id_refused_at_seq", "refusals", ["profile_id", "refused_at", "seq"])
    op.create_table(
        "trail",
        sa.Column("enrollment_id", Name, nullable=False),
        sa.Column("seq", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("step_id", Name),
        sa.Column("visit", sa.Integer, nullable=False),
        sa.Column("detail", Json, nullable=False),
        sa.PrimaryKeyConstraint("enrollment_id", "seq"),
    )
    op.create_table(
        "deliveries",
        sa.Column("seq", Number, nullable=False),
        sa.Column("delivery_id", Name, nullable=False),
        sa.Column("enrollment_id", Name, nullable=False),
        sa.Column("journey", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("step_id", Name, nullable=False),
        sa.Column("visit", sa.Integer, nullable=False),
        sa.Column("channel", Name, nullable=False),
        sa.Column("via", Name, nullable=False),
        sa.Column("topic", Name, nullable=False),
        sa.Column("template", Name, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("to", sa.Text, nullable=False),
        sa.Column("is_marketing", sa.Boolean, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.Column("claimed_at", Instant, nullable=False),
        sa.Column("sent_at", Instant),
        sa.Column("first_attempt_at", Instant),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("provider_message_id", Name),
        sa.Column("subject", sa.Text),
        sa.Column("html", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("delivery_id", name="uq_deliveries_delivery_id"),
    )
    op.create_index("ix_deliveries_claimed_at_seq", "deliveries", ["claimed_at", "seq"])
    op.create_index("ix_deliveries_journey_claimed_at_seq", "deliveries", ["journey", "claimed_at", "seq"])
    op.create_index("ix_deliveries_profile_id_claimed_at_seq", "deliveries", ["profile_id", "claimed_at", "seq"])
    op.create_index(
        "ix_deliveries_provided",
        "deliveries",
        ["via", "provider_message_id"],
        sqlite_where=sa.text("provider_message_id IS NOT NULL"),
        postgresql_where=sa.text("provider_message_id IS NOT NULL"),
    )
    op.create_index("ix_deliveries_status_claimed_at_seq", "deliveries", ["status", "claimed_at", "seq"])
    op.create_table(
        "decisions",
        sa.Column("seq", Number, nullable=False),
        sa.Column("decision_id", Name, nullable=False),
        sa.Column("delivery_id", Name, nullable=False),
        sa.Column("enrollment_id", Name, nullable=False),
        sa.Column("journey", Name, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("step_id", Name, nullable=False),
        sa.Column("visit", sa.Integer, nullable=False),
        sa.Column("channel", Name, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("decided_at", Instant, nullable=False),
        sa.Column("until", Instant),
        sa.Column("inputs", Json, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("decision_id", name="uq_decisions_decision_id"),
    )
    op.create_index("ix_decisions_decided_at_seq", "decisions", ["decided_at", "seq"])
    op.create_index("ix_decisions_enrollment_id_decided_at_seq", "decisions", ["enrollment_id", "decided_at", "seq"])
    op.create_index("ix_decisions_journey_decided_at_seq", "decisions", ["journey", "decided_at", "seq"])
    op.create_index("ix_decisions_profile_id_decided_at_seq", "decisions", ["profile_id", "decided_at", "seq"])
    op.create_table(
        "consents",
        sa.Column("seq", Number, nullable=False),
        sa.Column("consent_id", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("channel", Name),
        sa.Column("topic", Name),
        sa.Column("address_hash", Name),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("occurred_at", Instant, nullable=False),
        sa.Column("received_at", Instant, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("wording", sa.Text),
        sa.Column("expires_at", Instant),
        sa.Column("evidence", Json, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("consent_id", name="uq_consents_consent_id"),
    )
    op.create_index("ix_consents_profile_id_seq", "consents", ["profile_id", "seq"])
    op.create_table(
        "suppressions",
        sa.Column("seq", Number, nullable=False),
        sa.Column("suppression_id", Name, nullable=False),
        sa.Column("channel_kind", Name, nullable=False),
        sa.Column("address_hash", Name, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("lifted_at", Instant),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("suppression_id", name="uq_suppressions_suppression_id"),
    )
    op.create_index(
        "ix_suppressions_channel_kind_address_hash_seq", "suppressions", ["channel_kind", "address_hash", "seq"]
    )
    op.create_table(
        "occurrences",
        sa.Column("seq", Number, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("ref", Name, nullable=False),
        sa.Column("detail", Json, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_occurrences_profile_id_seq", "occurrences", ["profile_id", "seq"])
    op.create_table(
        "stimuli",
        sa.Column("seq", Number, nullable=False),
        sa.Column("enrollment_id", Name, nullable=False),
        sa.Column("input", Nudged, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("not_before", Instant, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stimuli_not_before_seq", "stimuli", ["not_before", "seq"])
    op.create_table(
        "dues",
        sa.Column("kind", Name, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("subject", Name, nullable=False),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("basis", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "profile_id", "subject"),
    )
    op.create_index("ix_dues_due_at_kind_profile_id_subject", "dues", ["due_at", "kind", "profile_id", "subject"])
    op.create_index("ix_dues_profile_id", "dues", ["profile_id"])
    op.create_table(
        "memberships",
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("segment", Name, nullable=False),
        sa.Column("is_member", sa.Boolean, nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("profile_id", "segment"),
    )
    op.create_index(
        "ix_memberships_segment_is_member_profile_id", "memberships", ["segment", "is_member", "profile_id"]
    )
    op.create_table(
        "links",
        sa.Column("token_hash", Name, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("profile_id", Name, nullable=False),
        sa.Column("delivery_id", Name),
        sa.Column("channel", Name),
        sa.Column("topic", Name),
        sa.Column("address_hash", Name),
        sa.Column("url", sa.Text),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("ix_links_profile_id", "links", ["profile_id"])
    op.create_table(
        "api_keys",
        sa.Column("key_hash", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("scopes", Words, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("revoked_at", Instant),
        sa.PrimaryKeyConstraint("key_hash"),
    )
