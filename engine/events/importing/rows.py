"""Rows as they come in, and why one was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: Every reason for which a row is refused.
RefusalCode = Literal[
    "cells",            # a row with another number of cells than headings, or one that cannot be taken apart
    "json",             # no JSON, or not the JSON that is asked for
    "encoding",         # bytes that are no text in the file's encoding
    "characters",       # control characters in a name or an id
    "too_long",         # an id or a name beyond its limit
    "missing",          # a field that is needed is not given
    "type",             # not of the type that the project's catalogue gives it
    "address",          # no usable email, phone number or handle
    "timezone", "locale", "attribute",
    "timestamp",        # not readable as an instant
    "offset",           # an instant without an offset, and no zone was named
    "future",
    "action",           # none that consents know
    "unknown_channel", "unknown_topic", "unknown_profile",
    "erased",           # the person was erased, and stays so
    "grant_refused",    # the ledger refuses the grant: evidence is missing, or the person has said no
    "lifted",           # a block that the person has lifted since
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row; `number` counts from 1, headings not counted."""

    number: int
    #: By the source's own column names.
    cells: Mapping[str, Any]
    #: Why it could not be taken apart; then there are no cells.
    problem: RowRefused | None = None


class RowRefused(Exception):
    """One row cannot be taken; the others can. `field` is ours, None where it is about the row as a whole."""

    def __init__(self, code: RefusalCode, sentence: str, field: str | None = None) -> None:
        self.code: RefusalCode = code
        self.sentence = sentence
        self.field = field
        super().__init__(sentence)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """What the report says of a refused row: never what its cells hold."""

    row: int
    #: The source's own name of the column.
    column: str | None
    code: RefusalCode
    message: str
