"""Profiles from rows: what a row says of a person holds from now on, and what it does not mention stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.consent.addresses import normalise
from engine.errors import BadInput
from engine.events.identity import IdentifierKind, differences
from engine.events.importing import cells
from engine.events.importing.columns import Kind
from engine.events.importing.rows import RefusalCode, RowRefused
from engine.events.importing.taker import Outcome, take_each
from engine.events.intake import Intake, read_values
from engine.profiles.model import Profile, Value
from engine.project import Project
from engine.store import Unit

_OWN: Mapping[str, RefusalCode] = {
    "email": "address", "phone": "address", "timezone": "timezone", "locale": "locale",
}  # fmt: skip
_NOBODY = Profile(profile_id="")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRow:
    user_id: str
    values: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRows:
    """Takes profiles in."""

    project: Project
    intake: Intake
    #: For timestamps without an offset.
    zone: ZoneInfo | None = None
    #: True: an empty cell deletes what was known. False: it says nothing.
    is_empty_deleting: bool = False
    kind: Kind = "profiles"
    fields: Sequence[str] = ("id", *_OWN)
    aliases: Mapping[str, str] = field(
        default_factory=lambda: {"user_id": "id", "userId": "id", "external_id": "id", "time_zone": "timezone"}
    )

    def needed(self, given: Collection[str]) -> Sequence[str]:
        del given
        return ("id",)

    def knows(self, name: str) -> bool:
        return bool(name)

    def is_catalogued(self, name: str) -> bool:
        own = name.removeprefix("attributes.")
        known = (*self.fields, "attributes", "chat", *self.project.attributes)
        return own in known or own.startswith("chat.")

    def read(self, given: Mapping[str, Any], now: datetime) -> ProfileRow:
        """The row's person and values, each checked."""
        del now
        if cells.is_empty(given.get("id")):
            raise RowRefused("missing", "`id` is missing: it says whom the row is about", "id")
        values: dict[str, Value] = {}
        for name, cell in given.items():
            if name != "id":
                self._read_cell(name.removeprefix("attributes."), cell, values)
        return ProfileRow(user_id=cells.text("id", given["id"]), values=values)

    def take(self, unit: Unit, rows: Sequence[ProfileRow], now: datetime) -> Sequence[Outcome]:
        people: set[tuple[IdentifierKind, str]] = {("external", row.user_id) for row in rows}
        return take_each(self.intake, unit, people, rows, lambda unit, row: self._take(unit, row, now))

    def _take(self, unit: Unit, row: ProfileRow, now: datetime) -> Outcome:
        is_new = unit.profiles.find_by("external", row.user_id) is None
        profile = self.intake.ensure(unit, "external", row.user_id, now)
        if profile.erased_at is not None:
            raise RowRefused("erased", "this person was erased, and an import brings nobody back", "id")
        after = self.intake.set_attributes(unit, profile, row.values, now)
        return "taken" if is_new or differences(profile, after) else "unchanged"

    # ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _read_cell(self, name: str, cell: Any, values: dict[str, Value]) -> None:
        if cells.is_empty(cell):
            if self.is_empty_deleting:
                self._delete(name, values)
        elif name == "attributes":
            for inner, value in cells.mapping(name, cell).items():
                self._read_cell(inner, value, values)
        elif name == "chat":
            for channel, handle in cells.mapping(name, cell).items():
                self._read_cell(f"chat.{channel}", handle, values)
        elif name.startswith("chat."):
            values.setdefault("chat", {})[self._chat_channel(name)] = _handle(name, cell)
        elif name in _OWN:
            # Ids and numbers of people, not quantities: a column of them may come as whole numbers.
            values[name] = cells.text(name, cell)
            _check(name, values[name], _OWN[name])
        else:
            values[name] = cells.typed(name, self.project.attributes.get(name, "any"), cell, self.zone)
            _check(name, values[name], "attribute")

    def _delete(self, name: str, values: dict[str, Value]) -> None:
        if name.startswith("chat."):
            values.setdefault("chat", {})[self._chat_channel(name)] = None
        elif name not in ("attributes", "chat"):
            values[name] = None

    def _chat_channel(self, name: str) -> str:
        channel = name.removeprefix("chat.")
        configured = self.project.channels.get(channel)
        if configured is None or configured.kind != "chat":
            known = " ".join(sorted(each.name for each in self.project.channels.values() if each.kind == "chat"))
            raise RowRefused("unknown_channel", f"`{name}` names no chat channel; there are: {known or 'none'}", name)
        return channel


def _handle(name: str, cell: Any) -> str:
    written = cells.text(name, cell)
    try:
        return normalise("chat", written)
    except BadInput as problem:
        raise RowRefused("address", f"`{name}`: {problem}", name) from problem


def _check(name: str, value: Value, code: RefusalCode) -> None:
    try:
        read_values(_NOBODY, {name: value})
    except BadInput as problem:
        raise RowRefused(code, str(problem), name) from problem
