"""The ledger refuses what proves nothing, records the rest once, and tells the router."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.consent.addresses import address_hash
from engine.consent.decide import SOFT_OPT_IN_FACTS, decide_consent
from engine.consent.ledger import Ledger
from engine.consent.permission import decide_permission
from engine.consent.replies import ReplyMeaning
from engine.errors import BadInput, GrantRefused
from engine.profiles.model import Profile
from engine.project import ChannelKind
from engine.storage.memory import MemoryStore
from engine.store import Unit
from tests.consent.people import ANA, KEY, NOON, PROJECT, minutes


class Desk:
    """A ledger over one transaction, and the questions that the gate would ask."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.ledger = Ledger(PROJECT, KEY)

    def grant(self, at: float = 0, **fields: Any) -> None:
        known: dict[str, Any] = {
            "profile": ANA, "channel": "email", "topic": "cart", "occurred_at": minutes(at), "now": minutes(at),
            "actor": "person", "source": "form:checkout", "wording": "v1",
        }  # fmt: skip
        self.ledger.grant(self.unit, **{**known, **fields})

    def confirm(self, at: float = 0, **fields: Any) -> None:
        known: dict[str, Any] = {
            "profile": ANA, "channel": "email", "topic": "news", "occurred_at": minutes(at), "now": minutes(at),
            "source": "link",
        }  # fmt: skip
        self.ledger.confirm(self.unit, **{**known, **fields})

    def withdraw(self, at: float = 0, **fields: Any) -> None:
        known: dict[str, Any] = {"profile": ANA, "occurred_at": minutes(at), "now": minutes(at), "source": "page"}
        self.ledger.withdraw(self.unit, **{**known, **fields})

    def reply(self, text: str, at: float = 0, **fields: Any) -> ReplyMeaning:
        known: dict[str, Any] = {"profile": ANA, "channel": "sms", "text": text, "now": minutes(at)}
        return self.ledger.reply(self.unit, **{**known, **fields})

    def outcome(self, topic: str = "cart", channel: str = "email", profile: Profile = ANA, at: float = 600) -> str:
        configured = PROJECT.channels[channel]
        hashed = address_hash(KEY, configured.kind, str(profile.address(channel, configured.kind)))
        permission = decide_permission(
            PROJECT.topics[topic],
            channel,
            hashed,
            self.unit.consents.of(profile.profile_id),
            self.unit.consents.suppressions(configured.kind, hashed),
            minutes(at),
        )
        return permission.outcome or "allowed"

    def told(self) -> list[dict[str, Any]]:
        """Details of the occurrences that await the router, taken from the queue."""
        details = []
        while occurrence := self.unit.queue.next_occurrence():
            assert (occurrence.kind, occurrence.profile_id) == ("consented", "pana")
            self.unit.queue.remove_occurrence(occurrence.seq)
            details.append(dict(occurrence.detail))
        return details


@pytest.fixture
def desk() -> Iterator[Desk]:
    with MemoryStore().transaction() as unit:
        yield Desk(unit)


# ── grants ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_grant_with_all_its_evidence_allows_and_tells_the_router_once(desk: Desk) -> None:
    desk.grant()
    desk.grant()
    assert desk.outcome() == "allowed"
    assert desk.told() == [{"action": "grant", "channel": "email", "topic": "cart", "is_pending": False}]
    assert len(desk.unit.consents.of("pana")) == 1


@pytest.mark.parametrize(
    ("fields", "lacks"),
    [
        ({"source": ""}, "source"),
        ({"source": None}, "source"),
        ({"wording": None}, "wording"),
        ({"profile": replace(ANA, email=None)}, "address"),
    ],
)
def test_a_grant_that_lacks_evidence_is_refused_by_the_name_of_what_it_lacks(
    desk: Desk, fields: dict[str, Any], lacks: str
) -> None:
    with pytest.raises(GrantRefused, match=f"lacks its {lacks}"):
        desk.grant(**fields)
    assert desk.unit.consents.of("pana") == []
    assert desk.told() == []


@pytest.mark.parametrize("fields", [{"channel": "fax"}, {"topic": "cats"}, {"occurred_at": NOON.replace(tzinfo=None)}])
def test_a_grant_of_what_there_is_not_is_unusable(desk: Desk, fields: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        desk.grant(**fields)


def test_a_grant_from_the_future_is_refused_and_a_fast_clock_is_forgiven(desk: Desk) -> None:
    with pytest.raises(GrantRefused, match="future"):
        desk.grant(occurred_at=minutes(5.01))
    desk.grant(occurred_at=minutes(5))
    assert desk.unit.consents.of("pana")[0].occurred_at == NOON


def test_a_soft_opt_in_without_a_fact_is_refused_by_its_name(desk: Desk) -> None:
    evidence = dict.fromkeys(SOFT_OPT_IN_FACTS[:-1], True)
    with pytest.raises(GrantRefused, match="missing: opt_out_in_every_message"):
        desk.grant(topic="sales", basis="soft_opt_in", evidence=evidence)
    desk.grant(topic="sales", basis="soft_opt_in", evidence=dict.fromkeys(SOFT_OPT_IN_FACTS, True))
    assert desk.outcome("sales") == "allowed"


@pytest.mark.parametrize("actor", ["import", "api", "agent", "system", "provider"])
def test_over_the_persons_no_only_the_person_grants(desk: Desk, actor: str) -> None:
    desk.withdraw(0, channel="email")
    with pytest.raises(GrantRefused, match="only the person"):
        desk.grant(10, actor=actor)
    desk.grant(20)
    desk.grant(30, actor=actor)
    assert desk.outcome() == "allowed"


@pytest.mark.parametrize("kind", ["complaint", "revocation", "manual", "erased"])
def test_over_a_block_that_the_person_caused_only_the_person_grants(desk: Desk, kind: Any) -> None:
    desk.ledger.suppress(desk.unit, channel="email", address="ANA@example.com", kind=kind, source="test", now=NOON)
    with pytest.raises(GrantRefused, match=kind):
        desk.grant(10, actor="import")


def test_a_refusal_names_no_address(desk: Desk) -> None:
    desk.ledger.suppress(desk.unit, channel="email", address="ana@example.com", kind="erased", source="t", now=NOON)
    with pytest.raises(GrantRefused) as refused:
        desk.grant(10, actor="import")
    assert "ana" not in str(refused.value)


def test_a_changed_address_inherits_the_withdrawal_and_never_the_grant_bounce_or_stop(desk: Desk) -> None:
    moved = replace(ANA, email="ana.new@example.com", phone="+447700900999")
    desk.grant()
    desk.ledger.suppress(desk.unit, channel="email", address=str(ANA.email), kind="hard_bounce", source="t", now=NOON)
    desk.reply("STOP", 1)
    assert desk.outcome(profile=moved) == "no_consent"
    assert desk.outcome("orders", profile=moved) == "allowed"
    assert desk.outcome("tips", "sms", profile=moved) == "allowed"
    desk.withdraw(5, topic="tips")
    assert desk.outcome("tips", "sms", profile=moved) == "no_consent"


# ── double opt-in ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_grant_under_double_opt_in_owes_a_confirmation(desk: Desk) -> None:
    desk.grant(topic="news")
    assert desk.told() == [{"action": "grant", "channel": "email", "topic": "news", "is_pending": True}]
    assert desk.outcome("news") == "no_consent"
    desk.confirm(10)
    assert desk.outcome("news") == "allowed"
    desk.grant(20, topic="news")
    assert desk.told()[-1]["is_pending"] is False, "an earlier confirmed grant still holds"


def test_a_fresh_grant_after_a_withdrawal_owes_a_confirmation_too(desk: Desk) -> None:
    desk.withdraw(0)
    desk.grant(10, topic="news")
    assert desk.told()[-1]["is_pending"] is True


def test_a_confirmation_may_be_of_the_address_that_its_link_was_sent_to(desk: Desk) -> None:
    desk.grant(topic="news")
    moved = replace(ANA, email="ana.new@example.com")
    desk.confirm(10, profile=moved, address_hash=address_hash(KEY, "email", str(ANA.email)))
    assert desk.outcome("news") == "allowed"
    assert desk.outcome("news", profile=moved) == "no_consent"


def test_a_confirmation_lifts_a_complaint_and_a_plain_grant_does_not(desk: Desk) -> None:
    desk.ledger.suppress(desk.unit, channel="email", address=str(ANA.email), kind="complaint", source="t", now=NOON)
    desk.grant(10)
    assert desk.outcome() == "suppressed"
    desk.grant(20, topic="news")
    desk.confirm(30)
    assert desk.outcome() == "allowed"


# ── withdrawals ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_withdrawal_is_never_refused(desk: Desk) -> None:
    desk.grant()
    desk.withdraw(10, topic="a_topic_of_last_year", source=None)
    assert desk.outcome() == "allowed"
    desk.withdraw(10, occurred_at=minutes(100_000))
    assert desk.outcome() == "no_consent"
    assert [record.occurred_at for record in desk.unit.consents.of("pana")] == [NOON, minutes(10), minutes(10)]


def test_an_objection_ends_what_needs_no_consent(desk: Desk) -> None:
    desk.ledger.object(desk.unit, profile=ANA, topic="tips", occurred_at=NOON, now=NOON, source="page")
    assert desk.outcome("tips") == "no_consent"
    assert desk.told() == [{"action": "object", "channel": None, "topic": "tips"}]


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_stop_takes_consent_and_blocks_the_number_for_everything(desk: Desk) -> None:
    desk.grant(channel="sms")
    desk.grant()
    assert desk.reply(" stop. ", 10) == "stop"
    assert desk.outcome("cart", "sms") == "no_consent"
    assert desk.outcome("orders", "sms") == "suppressed"
    assert desk.outcome("cart", "email") == "allowed"
    stop = desk.unit.consents.of("pana")[-1]
    assert (stop.source, stop.topic, stop.evidence) == ("sms_keyword", None, {"text": " stop. "})


def test_the_block_holds_for_whoever_shares_the_number(desk: Desk) -> None:
    bob = Profile(profile_id="pbob", phone=ANA.phone)
    desk.grant(profile=bob, channel="sms")
    desk.reply("STOP", 10)
    assert desk.outcome("cart", "sms", profile=bob) == "suppressed"


def test_start_lifts_stop_and_older_grants_stand_again(desk: Desk) -> None:
    desk.grant(channel="sms")
    desk.reply("STOP", 10)
    assert desk.reply("Start!", 20) == "start"
    assert desk.outcome("cart", "sms") == "allowed"
    assert desk.outcome("orders", "sms") == "allowed"
    desk.reply("STOP", 30)
    assert desk.outcome("orders", "sms") == "suppressed"


def test_start_reopens_only_the_channel_and_number_to_which_it_came(desk: Desk) -> None:
    desk.grant(channel="sms")
    desk.grant(channel="sms_uk")
    desk.reply("STOP", 10)
    desk.reply("START", 20, channel="sms_uk")
    desk.reply("START", 20, address="+447700900999")
    assert desk.outcome("cart", "sms") == "no_consent"
    assert desk.outcome("orders", "sms") == "suppressed"


def test_start_is_no_grant(desk: Desk) -> None:
    desk.reply("START")
    assert desk.outcome("cart", "sms") == "no_consent"


def test_the_backups_number_is_heard_for_the_channel_that_it_backs(desk: Desk) -> None:
    desk.grant(channel="sms")
    desk.reply("STOP", 10, channel="sms_backup")
    assert desk.outcome("cart", "sms") == "no_consent"
    desk.reply("START", 20, channel="sms_backup")
    assert desk.outcome("cart", "sms") == "allowed"


def test_stop_from_a_former_number_blocks_that_number(desk: Desk) -> None:
    desk.grant(channel="sms")
    desk.reply("STOP", 10, address="+44 7700 900999")
    assert desk.outcome("cart", "sms") == "allowed"
    assert desk.outcome("orders", "sms", profile=replace(ANA, phone="+447700900999")) == "suppressed"


def test_stop_from_a_stranger_blocks_the_number(desk: Desk) -> None:
    assert desk.reply("STOP", profile=None, address=ANA.phone) == "stop"
    assert desk.outcome("orders", "sms") == "suppressed"
    assert desk.told() == []


def test_stop_by_email_withdraws_and_leaves_receipts_alone(desk: Desk) -> None:
    desk.grant()
    desk.reply("unsubscribe", 10, channel="email")
    assert desk.outcome() == "no_consent"
    assert desk.outcome("orders") == "allowed"
    assert desk.outcome("tips", profile=replace(ANA, email="ana.new@example.com")) == "no_consent"


def test_what_sounds_like_a_revocation_blocks_marketing_until_somebody_has_looked(desk: Desk) -> None:
    desk.grant(channel="sms")
    assert desk.reply("please stop texting me", 10) == "revocation"
    assert desk.outcome("cart", "sms") == "suppressed"
    assert desk.outcome("orders", "sms") == "allowed"
    desk.grant(20, channel="sms")
    assert desk.outcome("cart", "sms") == "allowed", "the person has spoken again"


@pytest.mark.parametrize("text", ["HELP", "don't stop", "cancel my order", "yes"])
def test_anything_else_changes_nothing(desk: Desk, text: str) -> None:
    desk.grant(channel="sms")
    before = desk.unit.consents.of("pana")
    desk.reply(text, 10)
    assert desk.unit.consents.of("pana") == before
    assert desk.outcome("cart", "sms") == "allowed"


def test_yes_confirms_what_awaits_it_and_nothing_besides(desk: Desk) -> None:
    desk.grant(channel="sms", topic="news")
    assert desk.reply("Yes!", 10) == "confirm"
    assert desk.outcome("news", "sms") == "allowed"
    assert desk.outcome("cart", "sms") == "no_consent"
    assert desk.reply("yes", 20) == "other"


def test_a_reply_on_a_channel_on_which_nobody_is_known_is_read_and_changes_nothing(desk: Desk) -> None:
    assert desk.reply("STOP", profile=replace(ANA, phone=None)) == "stop"
    assert desk.unit.consents.all_suppressions() == []


# ── the order of arrival ─────────────────────────────────────────────────────────────────────────────────────────────
ACTS = st.fixed_dictionaries(
    {
        "verb": st.sampled_from(["grant", "grant", "confirm", "withdraw", "object"]),
        "at": st.integers(0, 40),
        "topic": st.sampled_from(["cart", "news"]),
        "wide": st.booleans(),
        "actor": st.sampled_from(["person", "person", "import"]),
        "expires": st.sampled_from([None, None, 45, 500]),
        "kind": st.sampled_from(["email", "email", "sms"]),
    }
)


def arrive(acts: list[dict[str, Any]]) -> dict[tuple[str, str, int], str]:
    """The outcomes after acts of long ago have come in, in this order; each is written down the moment it arrives."""
    with MemoryStore().transaction() as unit:
        desk = Desk(unit)
        for number, act in enumerate(acts):
            kind: ChannelKind = act["kind"]
            now, at = minutes(1000 + number), minutes(act["at"])
            topic = None if act["wide"] else act["topic"]
            match act["verb"]:
                case "grant":
                    expires = None if act["expires"] is None else minutes(1000 + act["expires"])
                    try:
                        desk.grant(
                            channel=kind, topic=act["topic"], occurred_at=at, now=now, actor=act["actor"],
                            expires_at=expires,
                        )  # fmt: skip
                    except GrantRefused:
                        assert act["actor"] == "import"
                case "confirm":
                    desk.confirm(channel=kind, topic=act["topic"], occurred_at=at, now=now)
                case "withdraw":
                    desk.withdraw(channel=kind, topic=topic, occurred_at=at, now=now)
                case _:
                    desk.ledger.object(unit, profile=ANA, topic=topic, occurred_at=at, now=now)
        return {
            (topic, kind, at): desk.outcome(topic, kind, at=at)
            for topic in ("cart", "news", "tips")
            for kind in ("email", "sms")
            for at in (1040, 1100, 1600)
        }


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTS, max_size=7).flatmap(lambda acts: st.tuples(st.just(acts), st.permutations(acts))))
def test_the_order_of_arrival_changes_nothing(orders: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    assert arrive(orders[0]) == arrive(orders[1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 90)), max_size=12))
def test_of_acts_taken_down_as_they_happen_the_last_one_holds(acts: list[tuple[bool, int]]) -> None:
    with MemoryStore().transaction() as unit:
        desk, at = Desk(unit), 0.0
        for is_grant, seconds in acts:
            at += seconds / 60
            (desk.grant if is_grant else desk.withdraw)(at)
        assert desk.outcome() == ("allowed" if acts and acts[-1][0] else "no_consent")


def test_records_keep_to_the_microsecond(desk: Desk) -> None:
    desk.withdraw(0)
    desk.grant(0, occurred_at=NOON + timedelta(microseconds=1), now=NOON + timedelta(microseconds=1))
    hashed = address_hash(KEY, "email", str(ANA.email))
    records = desk.unit.consents.of("pana")
    assert decide_consent(PROJECT.topics["cart"], "email", hashed, records, minutes(1)).is_allowed is True
