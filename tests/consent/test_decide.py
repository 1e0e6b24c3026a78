"""Consent is a fold of the records: deny beats allow, unknown denies, and the order of arrival does not matter."""

from __future__ import annotations

import pytest

from engine.consent.decide import SOFT_OPT_IN_FACTS, decide_consent, standing_denial
from engine.consent.model import ConsentRecord
from engine.project import Topic
from tests.consent.people import CART, DESK, NEWS, NOON, ORDERS, SALES, TIPS, confirm, grant, minutes, withdraw

FACTS = dict.fromkeys(SOFT_OPT_IN_FACTS, True)


def decided(
    *records: ConsentRecord, topic: Topic = CART, at: float = 600, channel: str = "email", address: str = "home"
) -> tuple[str, str | None]:
    forwards = decide_consent(topic, channel, address, records, minutes(at))
    assert forwards == decide_consent(topic, channel, address, records[::-1], minutes(at))
    assert forwards.is_allowed == (forwards.reason in ("granted", "soft_opt_in", "legitimate_interest", "not_needed"))
    return forwards.reason, forwards.consent_id


# ── consent ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_unknown_denies() -> None:
    assert decided() == ("no_grant", None)


def test_a_grant_allows_its_own_address_channel_and_topic() -> None:
    yes = grant("c1", 0)
    assert decided(yes) == ("granted", "c1")
    assert decided(yes, address="new") == ("no_grant", None)
    assert decided(yes, channel="sms") == ("no_grant", None)
    assert decided(yes, topic=Topic(name="offers", title="Offers")) == ("no_grant", None)


def test_the_newest_grant_is_the_one_relied_on() -> None:
    assert decided(grant("c1", 0), grant("c2", 10)) == ("granted", "c2")


def test_a_grant_lasts_until_the_moment_it_expires() -> None:
    yes = grant("c1", 0, expires_at=minutes(60))
    assert decided(yes, at=59.999) == ("granted", "c1")
    assert decided(yes, at=60) == ("expired", "c1")


def test_a_grant_from_the_future_is_none_yet() -> None:
    assert decided(grant("c1", 20), at=10) == ("no_grant", None)


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"channel": None},
        {"topic": None},
        {"channel": None, "topic": None},
        {"action": "object"},
        {"actor": "provider"},
        {"actor": "api"},
    ],
)
def test_a_withdrawal_covers_what_it_leaves_unnamed(scope: dict[str, str | None]) -> None:
    reason = "objected" if scope.get("action") == "object" else "withdrawn"
    assert decided(grant("c1", 0), withdraw("c2", 10, **scope)) == (reason, "c2")


def test_a_withdrawal_leaves_what_it_does_not_cover() -> None:
    yes = grant("c1", 0)
    assert decided(yes, withdraw("c2", 10, topic="offers")) == ("granted", "c1")
    assert decided(yes, withdraw("c2", 10, channel="sms")) == ("granted", "c1")


def test_a_changed_address_inherits_the_withdrawal_but_not_the_grant() -> None:
    records = (grant("c1", 0), withdraw("c2", 10), grant("c3", 20))
    assert decided(*records) == ("granted", "c3")
    assert decided(*records, address="new") == ("withdrawn", "c2")


# ── order and clocks ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_tie_goes_to_the_withdrawal() -> None:
    assert decided(grant("c1", 10), withdraw("c2", 10)) == ("withdrawn", "c2")


def test_who_changes_their_mind_after_a_minute_is_believed() -> None:
    assert decided(grant("c1", 0), withdraw("c2", 50), grant("c3", 51)) == ("granted", "c3")


@pytest.mark.parametrize("late", ["grant", "withdrawal"])
def test_a_foreign_clock_is_trusted_for_a_denial_alone(late: str) -> None:
    """Written down later than it happened, a grant must be more than five minutes after the withdrawal."""
    received = {"received": 90}
    no = withdraw("c1", 50, **(received if late == "withdrawal" else {}))
    early = grant("c2", 55, **(received if late == "grant" else {}))
    enough = grant("c3", 55.001, **(received if late == "grant" else {}))
    assert decided(no, early) == ("withdrawn", "c1")
    assert decided(no, enough) == ("granted", "c3")


def test_a_withdrawal_that_arrives_late_holds_from_its_own_time() -> None:
    assert decided(grant("c1", 0), withdraw("c2", 30, received=500)) == ("withdrawn", "c2")


def test_an_older_grant_stays_dead_when_a_newer_one_expires() -> None:
    records = (grant("c1", 0), withdraw("c2", 10), grant("c3", 20, expires_at=minutes(30)))
    assert decided(*records, at=25) == ("granted", "c3")
    assert decided(*records, at=30) == ("withdrawn", "c2")


# ── who may lift ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("actor", ["import", "api", "agent", "provider", "system"])
def test_nobody_else_lifts_the_persons_no(actor: str) -> None:
    theirs = grant("c3", 600, actor=actor)
    assert decided(theirs, at=1000) == ("granted", "c3")
    assert decided(withdraw("c1", 0), theirs, at=1000) == ("withdrawn", "c1")
    assert decided(withdraw("c1", 0, action="object"), theirs, at=1000) == ("objected", "c1")


def test_once_the_person_has_lifted_it_an_import_may_renew() -> None:
    own = grant("c2", 20, expires_at=minutes(100))
    records = (withdraw("c1", 0), own, grant("c3", 30, actor="import"))
    assert decided(*records, at=50) == ("granted", "c3")
    assert decided(*records, at=100) == ("withdrawn", "c1")


def test_a_grant_reopens_its_own_topic_and_nothing_else() -> None:
    records = (grant("c1", 0), grant("c2", 0, topic="offers"), withdraw("c3", 10, channel=None, topic=None))
    assert decided(*records, grant("c4", 20, topic="offers")) == ("withdrawn", "c3")
    assert decided(*records, grant("c4", 20)) == ("granted", "c4")


# ── double opt-in ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_under_double_opt_in_a_grant_waits_for_its_confirmation() -> None:
    yes = grant("c1", 0, topic="news")
    assert decided(yes, topic=NEWS) == ("unconfirmed", "c1")
    assert decided(yes, confirm("c2", 5, topic="news"), topic=NEWS) == ("granted", "c1")


@pytest.mark.parametrize("other", [{"topic": "cart"}, {"channel": "sms"}, {"address_hash": "new"}])
def test_a_confirmation_of_something_else_confirms_nothing(other: dict[str, str]) -> None:
    records = (grant("c1", 0, topic="news"), confirm("c2", 5, **{"topic": "news", **other}))
    assert decided(*records, topic=NEWS) == ("unconfirmed", "c1")


def test_a_confirmation_does_not_serve_a_later_grant() -> None:
    records = (confirm("c1", 0, topic="news"), grant("c2", 5, topic="news"))
    assert decided(*records, topic=NEWS) == ("unconfirmed", "c2")


def test_an_old_link_cannot_undo_a_newer_no_and_a_new_one_can() -> None:
    records = (grant("c1", 0, topic="news"), withdraw("c2", 10, topic="news"), confirm("c3", 20, topic="news"))
    assert decided(*records, topic=NEWS) == ("withdrawn", "c2")
    renewed = (*records, grant("c4", 30, topic="news"))
    assert decided(*renewed, topic=NEWS) == ("unconfirmed", "c4")
    assert decided(*renewed, confirm("c5", 40, topic="news"), topic=NEWS) == ("granted", "c4")


# ── other bases ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_transactional_and_internal_topics_need_none() -> None:
    everything = withdraw("c1", 0, channel=None, topic=None)
    assert decided(everything, topic=ORDERS) == ("not_needed", None)
    assert decided(everything, topic=DESK) == ("not_needed", None)


def test_legitimate_interest_needs_no_grant_and_yields_to_a_no() -> None:
    assert decided(topic=TIPS) == ("legitimate_interest", None)
    no = withdraw("c1", 0, channel=None, topic="tips", action="object")
    assert decided(no, topic=TIPS) == ("objected", "c1")
    assert decided(no, grant("c2", 20, topic="tips"), topic=TIPS) == ("granted", "c2")
    assert decided(no, grant("c2", 20, topic="tips", actor="import"), topic=TIPS) == ("objected", "c1")


def soft(consent_id: str, at: float, evidence: dict[str, bool] = FACTS) -> ConsentRecord:
    return grant(consent_id, at, topic="sales", basis="soft_opt_in", actor="import", evidence=evidence)


def test_a_soft_opt_in_needs_all_of_its_facts() -> None:
    assert decided(soft("c1", 0), topic=SALES) == ("soft_opt_in", "c1")
    for fact in SOFT_OPT_IN_FACTS:
        assert decided(soft("c1", 0, {**FACTS, fact: False}), topic=SALES) == ("no_grant", None)
        assert decided(soft("c1", 0, {k: v for k, v in FACTS.items() if k != fact}), topic=SALES) == ("no_grant", None)


def test_a_sale_after_a_withdrawal_lifts_nothing() -> None:
    no = withdraw("c1", 10, topic="sales")
    assert decided(soft("c0", 0), no, soft("c2", 60), topic=SALES) == ("withdrawn", "c1")
    assert decided(no, grant("c3", 90, topic="sales"), topic=SALES) == ("granted", "c3")


def test_a_soft_opt_in_is_no_consent_where_consent_is_asked() -> None:
    assert decided(grant("c1", 0, basis="soft_opt_in", evidence=FACTS)) == ("no_grant", None)


# ── STOP and START ───────────────────────────────────────────────────────────────────────────────────────────────────
def stop(consent_id: str, at: float, address: str = "number") -> ConsentRecord:
    return withdraw(consent_id, at, channel="sms", topic=None, address_hash=address, source="sms_keyword")


def start(consent_id: str, at: float, channel: str = "sms", address: str = "number") -> ConsentRecord:
    return confirm(consent_id, at, channel=channel, topic=None, address_hash=address, source="sms_keyword")


def by_sms(*records: ConsentRecord, address: str = "number") -> str:
    yes = (grant("c1", 0, channel="sms", address_hash="number"), grant("c2", 0, channel="sms", address_hash="new"))
    return decided(*yes, *records, channel="sms", address=address)[0]


def test_stop_is_bound_to_its_number_and_leaves_other_channels_alone() -> None:
    assert by_sms(stop("s1", 10)) == "withdrawn"
    assert by_sms(stop("s1", 10), address="new") == "granted"
    assert decided(grant("c1", 0), stop("s1", 10)) == ("granted", "c1")


def test_after_start_older_grants_stand_again() -> None:
    assert by_sms(stop("s1", 10), start("s2", 20)) == "granted"
    assert by_sms(stop("s1", 10), start("s2", 20), stop("s3", 30)) == "withdrawn"
    assert by_sms(stop("s1", 10), start("s2", 10)) == "withdrawn"


def test_start_reopens_only_what_it_came_to() -> None:
    assert by_sms(stop("s1", 10), start("s2", 20, channel="sms_uk")) == "withdrawn"
    assert by_sms(stop("s1", 10), start("s2", 20, address="new")) == "withdrawn"
    plain = withdraw("c3", 5, channel="sms", topic=None)
    assert by_sms(plain, stop("s1", 10), start("s2", 20)) == "withdrawn"


def test_off_the_phone_the_same_word_withdraws_from_the_channel_whatever_the_address() -> None:
    word = withdraw("c2", 10, topic=None, address_hash="home", source="keyword")
    assert decided(grant("c1", 0, address_hash="new"), word, address="new") == ("withdrawn", "c2")


def test_what_stands_against_a_grant_can_be_asked() -> None:
    no = withdraw("c1", 10)
    assert standing_denial(CART, "email", "home", [grant("c0", 0), no], NOON) == no
    assert standing_denial(CART, "email", "home", [no, grant("c2", 20)], minutes(30)) is None
