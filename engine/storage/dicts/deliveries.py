"""Deliveries and decisions, in dicts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from engine.delivery.model import TAKEN, Decision, Delivery, holds_place
from engine.storage.dicts.shelf import Journal, Place, Shelf, newest


def _provided(delivery: Delivery) -> Place | None:
    if delivery.provider_message_id is None:
        return None
    return (delivery.via, delivery.provider_message_id), ()


def _instant(delivery: Delivery) -> datetime:
    return delivery.claimed_at if delivery.sent_at is None else delivery.sent_at


class DictDeliveries:
    def __init__(self, journal: Journal) -> None:
        self._deliveries: Shelf[str, Delivery] = Shelf(journal)
        self._all = self._deliveries.index(lambda d: (None, (d.claimed_at,)))
        self._by_profile = self._deliveries.index(lambda d: (d.profile_id, (d.claimed_at,)))
        self._by_journey = self._deliveries.index(lambda d: (d.journey, (d.claimed_at,)))
        self._by_status = self._deliveries.index(lambda d: (d.status, (d.claimed_at,)))
        self._provided = self._deliveries.index(_provided)
        self._decisions: Shelf[str, Decision] = Shelf(journal)
        self._decided = self._decisions.index(lambda d: (None, (d.decided_at,)))
        self._decided_by_profile = self._decisions.index(lambda d: (d.profile_id, (d.decided_at,)))
        self._decided_by_journey = self._decisions.index(lambda d: (d.journey, (d.decided_at,)))
        self._decided_by_enrollment = self._decisions.index(lambda d: (d.enrollment_id, (d.decided_at,)))

    def save(self, delivery: Delivery) -> None:
        self._deliveries.put(delivery.delivery_id, delivery)

    def find(self, delivery_id: str) -> Delivery | None:
        return self._deliveries.get(delivery_id)

    def find_by_provider_id(self, via: str, provider_message_id: str) -> Delivery | None:
        return self._provided.last((via, provider_message_id))

    def of(
        self,
        *,
        profile_id: str | None = None,
        journey: str | None = None,
        status: str | None = None,
        channel: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Delivery]:
        if profile_id is not None:
            found = self._by_profile.all(profile_id)
        elif journey is not None:
            found = self._by_journey.all(journey)
        else:
            found = self._all.all() if status is None else self._by_status.all(status)
        found = [
            delivery
            for delivery in found
            if (journey is None or delivery.journey == journey)
            and (status is None or delivery.status == status)
            and (channel is None or delivery.channel == channel)
        ]
        return newest(found, limit)

    def count(self, status: str) -> int:
        return len(self._by_status.all(status))

    def counted(self, profile_id: str, since: datetime) -> Sequence[tuple[datetime, str]]:
        counted = [
            (_instant(delivery), delivery.channel)
            for delivery in self._by_profile.all(profile_id)
            if delivery.is_marketing and not delivery.is_test and holds_place(delivery)
        ]
        return sorted(place for place in counted if place[0] > since)

    def decide(self, decision: Decision) -> None:
        self._decisions.put(decision.decision_id, decision)

    def decisions(
        self,
        *,
        profile_id: str | None = None,
        journey: str | None = None,
        enrollment_id: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Decision]:
        if enrollment_id is not None:
            found = self._decided_by_enrollment.all(enrollment_id)
        elif profile_id is not None:
            found = self._decided_by_profile.all(profile_id)
        else:
            found = self._decided.all() if journey is None else self._decided_by_journey.all(journey)
        found = [
            decision
            for decision in found
            if (profile_id is None or decision.profile_id == profile_id)
            and (journey is None or decision.journey == journey)
        ]
        return newest(found, limit)

    def received(self, profile_id: str, journey: str) -> Sequence[datetime]:
        return sorted(
            _instant(delivery)
            for delivery in self._by_profile.all(profile_id)
            if delivery.journey == journey and not delivery.is_test and delivery.status in TAKEN
        )

    def forget(self, profile_id: str) -> None:
        for delivery in self._by_profile.all(profile_id):
            self._deliveries.put(delivery.delivery_id, replace(delivery, to="", subject=None, html=None, text=None))

    def hand_over(self, source_id: str, target_id: str) -> None:
        for delivery in self._by_profile.all(source_id):
            self._deliveries.put(delivery.delivery_id, replace(delivery, profile_id=target_id))
