"""RFC 9457 problem documents: one shape for every refusal, with a stable code, and never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from engine.errors import BadInput, Conflict, NotFound, SojournError, StoreUnavailable, TransientChannelError


class Refused(SojournError):
    """A request refused before it reaches the engine; carries its HTTP status, code and headers."""

    def __init__(self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(detail)


def refusal(error: SojournError) -> Refused:
    """The refusal that answers an error of the engine."""
    match error:
        case Refused():
            return error
        case StoreUnavailable():
            return Refused(503, "store_unavailable", "the store is not available", headers={"Retry-After": "5"})
        case TransientChannelError():
            # Of a webhook: what proves it is out of reach, and the provider shall send it again.
            return Refused(503, "provider_unavailable", "the provider cannot be reached", headers={"Retry-After": "30"})
        case NotFound():
            return Refused(404, "not_found", str(error))
        case Conflict():
            return Refused(409, "conflict", str(error))
        case BadInput():
            return Refused(400, "bad_input", str(error))
        case _:
            return Refused(500, "defect", "the request could not be served; the log says more")


def problem(refused: Refused) -> Response:
    """The refusal as `application/problem+json`. `code` and `message` are what Segment's clients print."""
    return JSONResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(refused.status).phrase,
            "status": refused.status,
            "detail": refused.detail,
            "code": refused.code,
            "message": refused.detail,
        },
        status_code=refused.status,
        headers=refused.headers,
        media_type="application/problem+json",
    )
