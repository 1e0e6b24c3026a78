"""Whose column is whose field, and whether columns are of the kind of rows that they are taken for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import BadInput

Kind = Literal["profiles", "events", "consents"]

#: More is no table of people.
MOST_COLUMNS = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """From the columns of a source to our fields: as mapped, else by a name in use for the field, else as they are."""

    #: Column -> field; an empty field leaves the column out.
    mapped: Mapping[str, str] = field(default_factory=dict)
    #: Other names in use for a field.
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: Fields that are found under their name however it is written: `E-Mail`, `USER_ID`, `Time zone`.
    fields: Sequence[str] = ()
    #: What was found out of columns: asked for each cell.
    _found: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def field_of(self, column: str) -> str:
        """The field that a column is for; empty where it is left out."""
        found = self._found.get(column)
        if found is None:
            found = self._field_of(column)
            if len(self._found) < MOST_COLUMNS:
                self._found[column] = found
        return found

    def arrange(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """The cells by field. Of two columns for one field that which bears its very name counts."""
        arranged: dict[str, Any] = {}
        for column, value in cells.items():
            name = self.field_of(column)
            if name and (name not in arranged or column == name):
                arranged[name] = value
        return arranged

    def column_of(self, name: str, cells: Mapping[str, Any]) -> str:
        """The source's name of a field's column, or the field's own where the row has none."""
        return next((column for column in cells if self.field_of(column) == name), name)

    def check(self, headings: Sequence[str], needed: Sequence[str]) -> None:
        """Raises BadInput where the headings cannot give what is needed, or give one thing twice."""
        if len(headings) > MOST_COLUMNS:
            raise BadInput(f"there are {len(headings)} columns: at most {MOST_COLUMNS} can be read")
        listed = ", ".join(f"`{heading}`" for heading in headings[:40])
        for column in self.mapped:
            if column not in headings:
                raise BadInput(f"--map {column}=…: there is no such column; there are {listed}")
        given: dict[str, str] = {}
        for heading in headings:
            name = self.field_of(heading)
            if name and name in given:
                raise BadInput(
                    f"the columns `{given[name]}` and `{heading}` both give `{name}`: leave one out with --map COLUMN="
                )
            given[name] = heading
        for name in needed:
            if name not in given:
                raise BadInput(f"no column is `{name}`; there are {listed}: say --map COLUMN={name}")

    def check_kind(self, kind: Kind, columns: Iterable[str]) -> None:
        """Raises BadInput where columns tell of rows of another kind: those would be taken for attributes of people, or
        be refused one after another. Columns that were mapped are what they were said to be."""
        named = {column: _folded(column) for column in columns if column not in self.mapped}
        other = _kind_of(named.values())
        if other in (None, kind):
            return
        telling = sorted(column for column, name in named.items() if _is_telling(other, name))
        kept = " ".join(f"--map {column}={column}" for column in telling)
        words = f"these rows look like {other} ({', '.join(f'`{column}`' for column in telling)}): "
        words += f"`sojourn import {other}` takes them"
        raise BadInput(f"{words}; where they are attributes of people, say so: {kept}" if kind == "profiles" else words)

    def _field_of(self, column: str) -> str:
        if column in self.mapped:
            return self.mapped[column]
        own = self._own_name(column)
        # A column that was mapped to the field stands before one that only bears its name.
        return "" if own in self.mapped.values() else own

    def _own_name(self, column: str) -> str:
        if column in self.aliases or column in self.fields:
            return self.aliases.get(column, column)
        folded = _folded(column)
        for name in self.fields:
            if _folded(name) == folded:
                return name
        for name, own in self.aliases.items():
            if _folded(name) == folded:
                return own
        return column


#: What rows of a kind have and others do not, as whole sets; of events also any `properties.NAME`.
_SIGNS: Mapping[Kind, Sequence[frozenset[str]]] = {
    "events": (frozenset({"event", "timestamp"}), frozenset({"event", "time"}), frozenset({"event", "at"})),
    "consents": (frozenset({"channel", "topic"}), frozenset({"action", "channel"})),
    "profiles": (),
}


def _kind_of(names: Collection[str]) -> Kind | None:
    for kind, signs in _SIGNS.items():
        if any(sign <= set(names) for sign in signs):
            return kind
    return "events" if any(_is_property(name) for name in names) else None


def _is_telling(kind: Kind | None, name: str) -> bool:
    if kind == "events" and _is_property(name):
        return True
    return any(name in sign for sign in _SIGNS[kind]) if kind else False


def _is_property(name: str) -> bool:
    return name.partition(".")[0] == "properties"


def _folded(name: str) -> str:
    """A name without what people write differently."""
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")
