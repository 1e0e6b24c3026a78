"""The API against its own description: whatever a client sends, the answer is one that `/openapi.json` promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from engine.store import Store
from tests.waiting import PATIENCE
from tests.web.conftest import ADMIN_KEY, NOW, Shop, doubtful, serving

_METHODS = ("get", "post", "put", "patch", "delete")
#: What the description says as `default`; 405 for a method that it does not name.
_REFUSALS = {400, 401, 403, 404, 405, 409, 413, 415, 429}
#: Names that lead somewhere, so that not every answer is "there is no such thing".
_NAMES = [
    "ana",
    "ana@example.com",
    "cart",
    "welcome",
    "email",
    "sms",
    "news",
    "tips",
    "sent",
    "in_doubt",
    "c1",
    "texts",
]
_TEXTS = st.one_of(
    st.sampled_from(_NAMES),
    st.text(max_size=20),
    st.sampled_from(["", " ", "\x00", "a\x00b", "\ud800", "\u202e", "../..", "%00", "x" * 300, "0", "' OR 1=1; --"]),
)
_INSTANTS = st.sampled_from(
    [
        "2026-03-02T09:00:00Z",
        "2026-03-02T09:00:00+14:00",
        "2036-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1970-01-01T00:00:00Z",
        "2026-03-02T09:00:00",
        "2026-03-02",
        "now",
        0,
        1772442000,
        1e300,
    ]
)
_DEEP = json.loads('{"x":' * 150 + "1" + "}" * 150)
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        _TEXTS,
        _INSTANTS,
        st.sampled_from([_DEEP, 10**30, 10**400, -0.0, 1e308]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)),
    max_leaves=6,
)


class _Described:
    """The description, as what may be sent by it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def operations(self) -> list[tuple[str, str]]:
        return [(method, path) for path, found in self.document["paths"].items() for method in found]

    def schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def values(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        """Mostly what the schema allows, as far as a client could tell; now and then anything at all."""
        return st.one_of(self._allowed(self.schema(schema)), self._allowed(self.schema(schema)), _VALUES)

    def _allowed(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "enum" in schema or "const" in schema:
            return st.sampled_from(schema.get("enum", [schema.get("const")]))
        if "allOf" in schema:
            every = [self.schema(each) for each in schema["allOf"]]
            return st.tuples(*map(self._allowed, every)).map(_together)
        if "anyOf" in schema and "properties" not in schema:
            return st.one_of([self._allowed(self.schema(each)) for each in schema["anyOf"]])
        kind = schema.get("type")
        match kind[0] if isinstance(kind, list) else kind:
            case "object" if "properties" in schema:
                properties = schema["properties"]
                needed = {name: self.values(properties[name]) for name in schema.get("required", ())}
                others = {name: self.values(each) for name, each in properties.items() if name not in needed}
                return st.fixed_dictionaries(needed, optional=others)
            case "object":
                return st.dictionaries(_TEXTS, _VALUES, max_size=3)
            case "array":
                return st.lists(self.values(schema["items"]), max_size=3)
            case "integer":
                return st.integers(-1, 2000)
            case "null":
                return st.none()
            case "string" if schema.get("format") == "date-time":
                return _INSTANTS
            case _:
                return _TEXTS

    def request(self, method: str, path: str) -> st.SearchStrategy[tuple[str, str, bytes | None, dict[str, str]]]:
        """Method, address, body and headers of a request to an operation."""
        operation = self.document["paths"][path][method]
        parameters = operation.get("parameters", [])
        named = {each["name"]: _TEXTS for each in parameters if each["in"] == "path"}
        asked = {each["name"]: self.values(each["schema"]) for each in parameters if each["in"] == "query"}
        bodies: st.SearchStrategy[bytes | None] = st.none()
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            written = self.values(schema).map(lambda value: json.dumps(value).encode("utf-8", "replace"))
            bodies = st.one_of(written, written, written, st.binary(max_size=40), st.just(b" " * 600_000))
        types = st.sampled_from(["application/json"] * 6 + ["text/plain", "application/problem+json", "x"])
        methods = st.sampled_from([method] * 12 + list(_METHODS))
        query = st.fixed_dictionaries({}, optional=asked)
        return st.tuples(methods, st.fixed_dictionaries(named), query, bodies, types).map(
            lambda drawn: _built(path, drawn)
        )

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """Holds an answer against what the description says of it."""
        kind = answer.headers.get("content-type", "")
        if answer.status_code != 200:
            assert answer.status_code in _REFUSALS, answer.text
            assert kind == "application/problem+json"
            told = answer.json()
            self._validate({"$ref": "#/components/schemas/Problem"}, told)
            assert told["status"] == answer.status_code
            return
        found = self.document["paths"][path].get(method)
        assert found is not None, f"{method} {path} is not described"
        for kind_said, content in found["responses"]["200"].get("content", {}).items():
            assert kind == kind_said
            self._validate(content["schema"], answer.json())

    def _validate(self, schema: dict[str, Any], value: Any) -> None:
        OAS31Validator({**schema, "components": self.document["components"]}).validate(value)


def _together(parts: tuple[Any, ...]) -> Any:
    if not all(isinstance(part, dict) for part in parts):
        return parts[-1]
    return {name: value for part in parts for name, value in part.items()}


def _built(path: str, drawn: tuple[Any, ...]) -> tuple[str, str, bytes | None, dict[str, str]]:
    method, named, asked, body, kind = drawn
    for name, value in named.items():
        path = path.replace(f"{{{name}}}", quote(value.encode("utf-8", "surrogatepass"), safe="") or "%20")
    query = "&".join(
        f"{name}={quote(str(value).encode('utf-8', 'surrogatepass'), safe='')}" for name, value in asked.items()
    )
    headers = {"Content-Type": kind}
    return method, f"{path}?{query}" if query else path, body, headers


@pytest.fixture
def described_shop(open_shop: Callable[[Store], Shop], database: Store) -> Iterator[tuple[_Described, httpx.Client]]:
    shop = open_shop(database)
    doubtful(shop)
    with shop.store.transaction() as unit:
        ana = shop.engine.intake.ensure(unit, "external", "ana", NOW)
        shop.engine.ledger.withdraw(unit, profile=ana, channel="sms", occurred_at=NOW, now=NOW)
    bearer = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with serving(shop) as url, httpx.Client(base_url=url, headers=bearer, timeout=PATIENCE) as client:
        yield _Described(client.get("/openapi.json").json()), client


def test_whatever_is_sent_the_answer_is_one_that_the_description_promises(
    described_shop: tuple[_Described, httpx.Client],
) -> None:
    described, client = described_shop
    requests = st.sampled_from(described.operations()).flatmap(
        lambda operation: st.tuples(st.just(operation[1]), described.request(*operation))
    )

    @settings(
        max_examples=400,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(requests)
    def send(drawn: tuple[str, tuple[str, str, bytes | None, dict[str, str]]]) -> None:
        path, (method, address, body, headers) = drawn
        described.check(method, path, client.request(method, address, content=body, headers=headers))

    send()
