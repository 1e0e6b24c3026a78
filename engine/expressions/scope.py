"""What exists where an expression stands: the project's catalogue and names, and what `event.` and `trigger.` hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Names that can be read from an event, a trigger or an answer, with their type words."""

    names: Mapping[str, str] = field(default_factory=dict)
    #: Other names may be there as well (an event without a catalogue entry, the `with` of an API call).
    is_open: bool = False
    #: What it is, for messages: ``the event `Cart Updated` ``.
    of: str = ""


#: Nothing is known of it, anything may be there.
ANYTHING = Shape(is_open=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What an expression may name. Give what exists; leave out what does not exist at that place."""

    #: The catalogue: event name -> property -> type word; None: the project has none, and any event may come.
    events: Mapping[str, Mapping[str, str]] | None = None
    #: Attribute -> type word; None: the project has no catalogue of attributes.
    attributes: Mapping[str, str] | None = None
    segments: Collection[str] = ()
    journeys: Collection[str] = ()
    channels: Collection[str] = ()
    topics: Collection[str] = ()
    #: The event under test; None: there is none at this place.
    event: Shape | None = None
    #: What began the enrollment; None: there is no enrollment at this place (a segment, a trigger's `if`).
    trigger: Shape | None = None
    #: Step id -> what it leaves behind (`event`, `response`, `outcome` …) -> its shape, or its type word;
    #: None: there are no steps at this place.
    steps: Mapping[str, Mapping[str, Shape | str]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionProblem:
    """One thing wrong with an expression."""

    #: In characters, from 0, inside the expression's text.
    offset: int
    length: int
    #: Stable, for codes: `syntax`, `unknown_event`, `unknown_property`, `unknown_attribute`, `unknown_segment`,
    #: `unknown_journey`, `unknown_channel`, `unknown_topic`, `unknown_step`, `unknown_step_value`, `no_event`,
    #: `no_trigger`, `no_steps`, `unknown_trigger_name`, `wrong_argument`, `wrong_operand`, `unlike_types`, `constant`.
    code_word: str
    #: `warning`: what the catalogue lacks, and what is legal but surely not meant.
    severity: Literal["error", "warning"]
    message: str
    hint: str = ""
