"""Steps that do one thing and go on: `set`, `emit`, `start`, `call`, `exit`."""

from __future__ import annotations

from typing import Any, TypedDict
from urllib.parse import urlsplit

from engine.language.fields import Fields, as_text, as_zone
from engine.language.mentions import Mentions
from engine.language.source import MapNode, ScalarNode
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
        if mapping is None:
            return None
        if not mapping.pairs:
            self._problems.error("SJ203", mapping, "`set` names no attribute", "such as `{tier: gold}`")
        zone = mapping.get("timezone")
        if isinstance(zone, ScalarNode) and isinstance(zone.value, str) and not zone.value.startswith("="):
            as_zone(zone, self._problems, "`timezone`")
        return Set(values=self._mentions.values(mapping), **common)

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
        url = self._url(inner) if inner.need("url") else None
        for node in (inner.get("url"), inner.get("json"), inner.get("headers")):
            if node is not None:
                self._mentions.values(node)
        headers = self._texts(inner.mapping("headers"), "the header")
        method = inner.word("method", _METHODS)
        save = self._texts(inner.mapping("save"), "the path of")
        timeout = self._timeout(inner)
        if url is None:
            return None
        return Call(
            url=url,
            method=method or ("POST" if "json" in inner else "GET"),
            json=inner.plain("json"),
            headers=headers,
            timeout_seconds=timeout,
            save=save,
            **common,
        )

    def _url(self, fields: Fields) -> str | None:
        url = fields.text("url")
        if url is None or url.startswith("="):
            return url
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            is_address = False
        place = fields.node.pairs["url"].value
        if not is_address:
            hint = "begin with `https://` and a host, or with `=` for an expression"
            self._problems.error("SJ203", place, "`url` is no web address", hint)
            return None
        if parts.username is not None or parts.password is not None:
            self._problems.error("SJ203", place, "`url` holds credentials", "put them into a header")
        return url

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
