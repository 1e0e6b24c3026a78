"""A plan as canonical JSON and back, and its hash: the version under which people enter a journey.

Canonical means: keys sorted, no spaces, fields at their default left out (so that a new field with a default does not
give every deployed journey a new version), `kind` and `schema_version` always written. Whatever else stands in the
plan counts, titles and paths included: two plans with one version are equal.
"""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from engine.errors import BadInput
from engine.plan.model import SCHEMA_VERSION, Plan

#: Written even at their default: the first tells classes apart, the second the meaning of the whole.
_ALWAYS = ("kind", "schema_version")

_Decoder = Callable[[Any], Any]


def plan_to_json(plan: Plan) -> str:
    """The plan as canonical JSON."""
    return part_to_json(plan)


def part_to_json(part: Any) -> str:
    """A part of a plan, in the same form: one form for one meaning."""
    return json.dumps(_encode(part), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def plan_from_json(text: str) -> Plan:
    """The plan that `plan_to_json` wrote. Raises BadInput where the text is no plan of this schema version."""
    try:
        data = json.loads(text)
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise BadInput(f"the plan has schema version {version!r}; this release reads {SCHEMA_VERSION}")
        plan: Plan = _decoder(Plan)(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"the text is no plan: {type(error).__name__}") from error
    return plan


def digest(plan: Plan) -> str:
    """The journey's version: the first 16 hex digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(plan_to_json(plan).encode()).hexdigest()[:16]


def _encode(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        contents = {each.name: (getattr(value, each.name), _default(each)) for each in fields(value)}
        return {
            name: _encode(content)
            for name, (content, default) in contents.items()
            if name in _ALWAYS or content != default
        }
    if isinstance(value, Mapping):
        return {str(key): _encode(content) for key, content in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_encode(content) for content in value]
    return value


def _default(each: Field[Any]) -> Any:
    """The field's default, or MISSING (which equals nothing authored) where it has none."""
    return each.default_factory() if each.default_factory is not MISSING else each.default


@cache
def _decoder(hint: Any) -> _Decoder:
    """What reads a value of the annotated type back; classes of a union are told apart by their `kind`."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _class_decoder(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union_decoder(arguments)
    if origin is tuple:
        item = _decoder(arguments[0])
        return lambda data: tuple(item(each) for each in data)
    if origin is Mapping:
        content = _decoder(arguments[1])
        return lambda data: {key: content(each) for key, each in data.items()}
    # Scalars, literals and authored JSON are themselves.
    return lambda data: data


def _class_decoder(cls: type[Any]) -> _Decoder:
    hints = get_type_hints(cls)
    decoders = {each.name: _decoder(hints[each.name]) for each in fields(cls)}
    return lambda data: cls(**{name: decoders[name](content) for name, content in data.items()})


def _union_decoder(arguments: tuple[Any, ...]) -> _Decoder:
    classes = [each for each in arguments if is_dataclass(each) and isinstance(each, type)]
    if not classes:
        return lambda data: data
    if len(classes) == 1:
        only = _decoder(classes[0])
        return lambda data: None if data is None else only(data)
    by_kind = {_kind(each): _decoder(each) for each in classes}
    return lambda data: None if data is None else by_kind[data["kind"]](data)


def _kind(cls: type[Any]) -> str:
    hint = get_type_hints(cls)["kind"]
    assert get_origin(hint) is Literal, f"{cls.__name__}.kind is a Literal"
    return str(get_args(hint)[0])
