"""JSON Schemas of what authors write, for editors: completion, a word on hover, and errors while typing.

Each kind of document has its schema in `schemas/KIND.yml`, and what they share in `schemas/common.yml`. Draft-07 is
what yaml-language-server reads best. Inside a project the names that exist there are filled in, for editors to offer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_args
from zoneinfo import available_timezones

from engine.language.adapters import AdapterInfo
from engine.language.authored import read_project
from engine.language.diagnostics import Problems
from engine.language.source import plain, read_source
from engine.schedule import find_zone

DocumentKind = Literal["project", "journey", "segments", "scenario"]
KINDS: tuple[DocumentKind, ...] = get_args(DocumentKind)

Schema = dict[str, Any]

_VARIABLE = r"\$\{"


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What a project names. Empty: nothing is known of it, and any name is taken."""

    channels: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    journeys: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    #: The registered adapters, and the settings that each knows: name -> whether it is required.
    adapters: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)


def project_names(
    root: Path,
    environ: Mapping[str, str],
    infos: Mapping[str, AdapterInfo],
    adapters: Mapping[str, Mapping[str, bool]],
) -> Names:
    """What the project of a folder names, sound or not. Raises NotFound where it holds no `sojourn.yml`."""
    authored = read_project(root, environ, infos, Problems())
    if authored is None:
        return Names(adapters=adapters)
    file = authored.project
    folders = sorted({channel.templates for channel in file.channels.values()})
    return Names(
        channels=file.channel_names,
        topics=file.topic_names,
        journeys=tuple(sorted(authored.journeys)),
        segments=tuple(sorted(authored.segments)),
        templates=_templates([root / "templates" / folder for folder in folders]),
        events=tuple(file.events or ()),
        adapters=adapters,
    )


def _templates(folders: list[Path]) -> tuple[str, ...]:
    """Their names: the path of each file without its locale and ending."""
    endings = (".html", ".mjml", ".txt")
    files = ((folder, path) for folder in folders for path in folder.rglob("*") if path.suffix in endings)
    return tuple(
        sorted({(path.parent / path.name.split(".")[0]).relative_to(folder).as_posix() for folder, path in files})
    )


def make_schema(kind: DocumentKind, names: Names) -> Schema:
    """The JSON Schema of one kind of document."""
    document = _read(kind)
    definitions = {**_read("common")["definitions"], **document.pop("definitions", {})}
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **document, "definitions": definitions}
    _fill(schema, names, is_project=kind == "project")
    for each in _subschemas(schema):
        if "properties" in each:
            each.setdefault("type", "object")
            each.setdefault("additionalProperties", False)
    if kind == "project":
        _allow_variables([each for each in _subschemas(schema) if each is not definitions["name"]])
        if names.adapters:
            definitions["channel_entry"]["allOf"] = _settings(names.adapters)
    schema["definitions"] = {name: definitions[name] for name in sorted(_used(schema, definitions))}
    return schema


def _read(name: str) -> Schema:
    problems = Problems()
    file = f"{name}.yml"
    [document] = read_source(file, _content(file), problems).documents
    assert not problems.sorted(), problems.sorted()
    return cast(Schema, plain(document))


@cache
def _content(file: str) -> bytes:
    return resources.files("engine.language").joinpath("schemas", file).read_bytes()


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _fill(schema: Schema, names: Names, *, is_project: bool) -> None:
    definitions = schema["definitions"]
    known = {
        "channel": names.channels,
        "topic": names.topics,
        "journey": names.journeys,
        "segment": names.segments,
        "template": names.templates,
        "adapter": tuple(names.adapters),
        "zone": tuple(sorted(zone for zone in available_timezones() if find_zone(zone))),
    }
    for definition, values in known.items():
        if values and definition in definitions:
            # What `sojourn.yml` itself declares is offered there, but may be new.
            is_new = is_project and definition == "channel"
            definitions[definition]["examples" if is_new else "enum"] = list(values)
    if names.events:
        # An event that the catalogue lacks is a warning of `sojourn check`, no error.
        definitions["event"]["examples"] = list(names.events)


def _settings(adapters: Mapping[str, Mapping[str, bool]]) -> list[Schema]:
    """For each adapter what its settings may be. `from` may stand beside them."""
    return [
        {
            "if": {"required": ["use"], "properties": {"use": {"const": name}}},
            "then": {
                "properties": {
                    "settings": {
                        "type": "object",
                        "properties": {
                            each: {"description": _setting_words(name, is_needed)}
                            for each, is_needed in settings.items()
                        },
                        "required": [each for each, is_needed in settings.items() if is_needed and each != "from"],
                        "additionalProperties": False,
                    }
                }
            },
        }
        for name, settings in adapters.items()
    ]


def _setting_words(adapter: str, is_needed: bool) -> str:
    return f"A setting of `{adapter}`, {'required' if is_needed else 'optional'}."


def _allow_variables(schemas: list[Schema]) -> None:
    """`${NAME}` may stand for any text of `sojourn.yml`; for a key it may not."""
    for each in schemas:
        if "enum" in each:
            each["anyOf"] = [{"enum": each.pop("enum")}, {"type": "string", "pattern": _VARIABLE}]
        elif "pattern" in each:
            each["pattern"] = f"{each['pattern']}|{_VARIABLE}"


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
_IN_LIST = ("anyOf", "allOf")
_IN_MAPPING = ("properties", "definitions")
_INSIDE = ("items", "additionalProperties", "propertyNames", "if", "then", "else")


def _subschemas(schema: Any) -> Iterator[Schema]:
    """The schema and every schema inside it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in _IN_LIST:
        for each in schema.get(key, ()):
            yield from _subschemas(each)
    for key in _IN_MAPPING:
        for each in schema.get(key, {}).values():
            yield from _subschemas(each)
    for key in _INSIDE:
        yield from _subschemas(schema.get(key))


def _used(schema: Schema, definitions: Mapping[str, Schema]) -> set[str]:
    """The definitions that the schema refers to, by way of others, too."""
    found: set[str] = set()
    waiting = [{key: value for key, value in schema.items() if key != "definitions"}]
    while waiting:
        names = {each["$ref"].rpartition("/")[2] for each in _subschemas(waiting.pop()) if "$ref" in each}
        waiting += [definitions[name] for name in names - found]
        found |= names
    return found
