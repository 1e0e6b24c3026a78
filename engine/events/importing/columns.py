"""Whose column is whose field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import BadInput

#: More is no table of people.
MOST_COLUMNS = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """From the columns of a source to our fields: as mapped, else by a name in use for the field, else as they are."""

    #: Column -> field; an empty field leaves the column out.
    mapped: Mapping[str, str] = field(default_factory=dict)
    #: Other names in use for a field.
    aliases: Mapping[str, str] = field(default_factory=dict)

    def field_of(self, column: str) -> str:
        """The field that a column is for; empty where it is left out."""
        if column in self.mapped:
            return self.mapped[column]
        own = self.aliases.get(column, column)
        # A column that was mapped to the field stands before one that only bears its name.
        return "" if own in self.mapped.values() else own

    def arrange(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """The cells by field."""
        return {name: value for column, value in cells.items() if (name := self.field_of(column))}

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
