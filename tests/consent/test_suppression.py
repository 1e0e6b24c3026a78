"""A suppression blocks an address whatever the consent, for everything or for marketing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from engine.consent.model import SuppressionKind
from engine.consent.suppression import blocking, suppression_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
KINDS: tuple[SuppressionKind, ...] = ("erased", "hard_bounce", "complaint", "revocation", "manual", "sms_stop")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_blocks_marketing_and_the_final_ones_everything(kind: SuppressionKind) -> None:
    block = suppression_of("sms", "hash", kind, source="test", now=NOON)
    assert blocking([block], True) == block
    assert blocking([block], False) == (block if kind in ("erased", "hard_bounce", "sms_stop") else None)
    assert blocking([replace(block, lifted_at=NOON)], True) is None


def test_the_gravest_is_named() -> None:
    blocks = [suppression_of("sms", "hash", kind, source="test", now=NOON) for kind in reversed(KINDS)]
    for number, kind in enumerate(KINDS):
        block = blocking(blocks[: len(KINDS) - number], True)
        assert block is not None
        assert block.kind == kind
    assert blocking([], True) is None


def test_a_repeat_has_the_same_id_and_stops_of_two_channels_have_two() -> None:
    ids = {
        suppression_of("sms", "hash", "sms_stop", source=source, now=NOON, channel=channel).suppression_id
        for source in ("reply", "receipt")
        for channel in ("sms", "sms_uk")
    }
    assert len(ids) == 2
