"""Sessions of the dashboard: a signed cookie that names a key and ends by itself. Nothing is stored."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from starlette.requests import Request

COOKIE = "sojourn_session"
LASTS = timedelta(hours=8)


def session_of(request: Request) -> str:
    """The value that a form is bound to: the session's, or one word where no login is asked for."""
    return request.cookies.get(COOKIE) or "here"


class Sessions:
    """Makes and reads session values. A session is worth what its key is worth: revoking the key ends it."""

    def __init__(self, project_key: bytes) -> None:
        self._key = project_key

    def begin(self, key_hash: str, now: datetime) -> str:
        """The value of a new session's cookie."""
        body = f"{key_hash}.{int((now + LASTS).timestamp())}"
        return f"{body}.{self._mac('session', body)}"

    def read(self, value: str | None, now: datetime) -> str | None:
        """The hash of the key that a live session was begun with, or None."""
        key_hash, _, rest = (value or "").partition(".")
        ends, _, mac = rest.partition(".")
        if not hmac.compare_digest(self._mac("session", f"{key_hash}.{ends}").encode(), mac.encode()):
            return None
        return key_hash if int(ends) > now.timestamp() else None

    def form_token(self, value: str) -> str:
        """What a form of this session carries, so that no other site can post it."""
        return self._mac("form", value)

    def is_own_form(self, value: str, offered: str) -> bool:
        """Whether a form was served to this session."""
        return hmac.compare_digest(self.form_token(value).encode(), offered.encode())

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\x00{text}".encode(), hashlib.sha256).hexdigest()
