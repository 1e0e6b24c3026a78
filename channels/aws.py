"""What Amazon's services share: settings, addresses by region, and Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qsl, quote

import httpx
from pydantic import Field

from channels.base import Secret, Text
from channels.http import HttpSettings

_ALGORITHM = "AWS4-HMAC-SHA256"


class AwsSettings(HttpSettings):
    """Settings of every adapter of Amazon's; a key's rights should be those of sending, and no more."""

    #: Such as `eu-west-1`.
    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$")]
    access_key_id: Text
    secret_access_key: Secret
    #: Goes with temporary credentials.
    session_token: Secret | None = None


def service_address(host: str, region: str) -> str:
    """Address of a service (`email`, `sns`) in a region."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{host}.{region}.{domain}"


class SigV4(httpx.Auth):
    """Signs each request with Signature Version 4, over its body, its query, and the headers that count."""

    requires_request_body = True

    def __init__(self, settings: AwsSettings, service: str) -> None:
        self._settings = settings
        self._service = service

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        self.sign(request, datetime.now(UTC))
        yield request

    def sign(self, request: httpx.Request, now: datetime) -> None:
        """Sets `X-Amz-Date`, `X-Amz-Security-Token` where there is one, and `Authorization`."""
        settings = self._settings
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{settings.region}/{self._service}/aws4_request"
        request.headers["X-Amz-Date"] = moment
        if settings.session_token is not None:
            request.headers["X-Amz-Security-Token"] = settings.session_token.get_secret_value()
        names, canonical = _canonical(request)
        to_sign = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        key = ("AWS4" + settings.secret_access_key.get_secret_value()).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        request.headers["Authorization"] = (
            f"{_ALGORITHM} Credential={settings.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )


def _canonical(request: httpx.Request) -> tuple[str, str]:
    """Names of the signed headers, and the request in the one form that both sides hash."""
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    # What a proxy on the way may change is not signed.
    headers = {
        name.lower(): " ".join(value.split())
        for name, value in request.headers.items()
        if name.lower() in ("host", "content-type") or name.lower().startswith("x-amz-")
    }
    names = ";".join(sorted(headers))
    lines = (
        request.method,
        # Encoded a second time, for every service but S3.
        quote(path, safe="/~"),
        "&".join(f"{name}={value}" for name, value in pairs),
        *(f"{name}:{headers[name]}" for name in sorted(headers)),
        "",
        names,
        hashlib.sha256(request.content).hexdigest(),
    )
    return names, "\n".join(lines)
