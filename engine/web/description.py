"""What `/openapi.json` says: FastAPI's description of the JSON API, with the routes that are not its own, our keys, and
our problem documents."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from engine.web.segment import CALLS_AT_MOST, ID_LENGTH, TYPES, CallType


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, made once."""
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version="1", routes=app.routes)
        paths = described["paths"]
        paths |= {f"/v1/{name}": _intake(name, _named(name)) for name in TYPES}
        paths |= {f"/v1/{name}": _intake(name, _BATCH) for name in ("batch", "import")}
        for operation in (operation for path in paths.values() for operation in path.values()):
            operation["security"] = [{"basic": []}, {"bearer": []}]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _REFUSED
        paths["/v1/receipts/{channel}"] = _RECEIPTS
        components = described["components"]
        components["securitySchemes"] = _KEYS
        components["schemas"] = {
            name: schema for name, schema in components["schemas"].items() if not name.endswith("ValidationError")
        } | {"Problem": _PROBLEM, "Taken": _TAKEN, **{_schema_name(name): _call(name) for name in TYPES}}
        app.openapi_schema = described
    return app.openapi_schema


def _intake(name: str, body: dict[str, Any]) -> dict[str, Any]:
    taken = {"description": "Committed", "content": _json({"$ref": "#/components/schemas/Taken"})}
    return {
        "post": {
            "tags": ["intake"],
            "summary": f"Segment's `{name}` call",
            "operationId": f"intake_{name}",
            "requestBody": {"required": True, "content": _json(body)},
            "responses": {"200": taken},
        }
    }


def _call(type: CallType) -> dict[str, Any]:
    """The body of a call; what is not named may stand there, and is passed over."""
    own: dict[CallType, dict[str, Any]] = {
        "track": {"event": {"type": "string", "minLength": 1, "maxLength": 200}, "properties": _OBJECT},
        "page": {"name": _TEXT, "category": _TEXT, "properties": _OBJECT},
        "screen": {"name": _TEXT, "category": _TEXT, "properties": _OBJECT},
        "identify": {"traits": _OBJECT},
        "group": {"groupId": _ID, "traits": _OBJECT},
        "alias": {"previousId": _ID},
    }
    needed = {"track": ["event"], "group": ["groupId"], "alias": ["previousId", "userId"]}
    return {
        "type": "object",
        "properties": {**_COMMON, **own[type]},
        "required": needed.get(type, []),
        "anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}],
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schema_name(type: CallType) -> str:
    return f"{type.title()}Call"


def _named(type: CallType) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{_schema_name(type)}"}


_TEXT = {"type": "string"}
_OBJECT = {"type": ["object", "null"]}
_ID = {"type": ["string", "integer"], "maxLength": ID_LENGTH}
_INSTANT = {"type": "string", "format": "date-time"}
_COMMON = {
    "userId": _ID,
    "anonymousId": _ID,
    "messageId": {**_ID, "description": "What is sent again under the same id is stored once."},
    "timestamp": {**_INSTANT, "description": "When it happened; default: now."},
    "sentAt": {**_INSTANT, "description": "By the sender's clock; corrects `timestamp`."},
    "context": {"type": "object"},
}
_BATCH = {
    "type": "object",
    "properties": {
        "batch": {
            "type": "array",
            "maxItems": CALLS_AT_MOST,
            "items": {
                "allOf": [
                    {"type": "object", "properties": {"type": {"enum": [*TYPES]}}, "required": ["type"]},
                    {"anyOf": [_named(name) for name in TYPES]},
                ]
            },
        },
        "sentAt": _INSTANT,
    },
    "required": ["batch"],
}
_TAKEN = {"type": "object", "properties": {"success": {"const": True}}, "required": ["success"]}
#: A key, in either of two ways; what each operation needs of its scopes, a refusal says.
_KEYS = {
    "basic": {"type": "http", "scheme": "basic", "description": "The key as user name, without a password."},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; `message` repeats `detail` for Segment's clients.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable: `bad_input`, `not_found`, `conflict` …"},
        "message": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "code", "message"],
}
_REFUSED = {
    "description": "Refused, and nothing is changed: 400, 401, 403, 404, 409, 413, 415, 429 or 503",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_RECEIPTS = {
    "post": {
        "tags": ["receipts"],
        "summary": "A provider's webhook, verified before it is parsed",
        "operationId": "receipts",
        "parameters": [{"name": "channel", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "Taken"},
            "403": {"description": "Not provably the provider's", "content": _REFUSED["content"]},
            "default": _REFUSED,
        },
    }
}
