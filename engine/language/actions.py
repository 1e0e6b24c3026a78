"""Steps that do one thing and go on: `set`, `emit`, `start`, `call`, `exit`."""

from __future__ import annotations

from typing import Any, TypedDict

from engine.language.fields import Fields, as_text
from engine.language.mentions import Mentions
from engine.language.source import MapNode
from engine.plan.model import Call, Emit, ExitStep, Set, Start, Step

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: Seconds: a call holds a worker for so long at most.
_LONGEST_CALL = 300


class Common(TypedDict):
    """What every step has."""

    step_id: str
    title: str | None
    condition: str | None
    next: str | None
    path: str


class ActionReader:
    """Reads the actions of one journey."""

    def __init__(self, mentions: Mentions) -> None:
        self._mentions = mentions
        self._problems = mentions.problems

    def set(self, fields: Fields, common: Common) -> Step | None:
        mapping = fields.mapping("set")
        if mapping is not None and not mapping.pairs:
            self._problems.error("SJ203", mapping, "`set` names no attribute", "such as `{tier: gold}`")
        return None if mapping is None else Set(values=self._mentions.values(mapping), **common)

    def emit(self, fields: Fields, common: Common) -> Step | None:
        event = self._mentions.name("event", fields.get("emit"), "`emit`")
        values = self._values(fields, "with")
        return Emit(event=event, values=values, **common) if event else None

    def start(self, fields: Fields, common: Common) -> Step | None:
        journey = self._mentions.name("journey", fields.get("start"), "`start`")
        values = self._values(fields, "with")
        return Start(journey=journey, values=values, **common) if journey else None

    def call(self, fields: Fields, common: Common) -> Step | None:
        mapping = fields.mapping("call")
        if mapping is None:
            return None
        inner = Fields(mapping, self._problems, "`call`", ("url", "method", "json", "headers", "timeout", "save"))
        url = inner.text("url") if inner.need("url") else None
        if url is not None and not url.startswith(("http://", "https://", "=")):
            hint = "begin with `https://`, or with `=` for an expression"
            self._problems.error("SJ203", inner.node.pairs["url"].value, "`url` is no web address", hint)
        for node in (inner.get("url"), inner.get("json"), inner.get("headers")):
            if node is not None:
                self._mentions.values(node)
        headers = inner.mapping("headers")
        method = inner.word("method", _METHODS)
        save = inner.mapping("save")
        timeout = self._timeout(inner)
        if url is None:
            return None
        return Call(
            url=url,
            method=method or ("POST" if "json" in inner else "GET"),
            json=inner.plain("json"),
            headers=self._texts(headers, "the header"),
            timeout_seconds=timeout,
            save=self._texts(save, "the path of"),
            **common,
        )

    def _timeout(self, fields: Fields) -> int:
        timeout = fields.duration("timeout")
        if timeout is None:
            return 10
        if not 1 <= timeout <= _LONGEST_CALL:
            self._problems.error("SJ206", fields.place("timeout"), "`timeout` is from 1s to 5m")
        return timeout

    def _texts(self, mapping: MapNode | None, what: str) -> dict[str, str]:
        pairs = mapping.pairs if mapping else {}
        texts = {key: as_text(pair.value, self._problems, f"{what} `{key}`") for key, pair in pairs.items()}
        return {key: text for key, text in texts.items() if text is not None}

    def exit(self, fields: Fields, common: Common) -> Step | None:
        reason = fields.name("exit")
        return ExitStep(reason=reason, **common) if reason else None

    def _values(self, fields: Fields, key: str) -> dict[str, Any]:
        mapping = fields.mapping(key)
        return {} if mapping is None else dict(self._mentions.values(mapping))
