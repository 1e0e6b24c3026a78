"""The `call` step over HTTP: a request to a system of the author's, which must not become a door into our own network.

Every host is resolved here, all its addresses are checked, and the connection goes to a checked address (a second
look-up inside the client could get another answer). Redirects are followed by hand, each hop checked alike.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from engine.enrollment.caller import CallRequest

logger = logging.getLogger("sojourn.calls")

_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS = 0.5
_REDIRECTS = 5
_LARGEST_ANSWER = 1024 * 1024
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)

Resolve = Callable[[str, int], Sequence[str]]


class _Refused(Exception):
    """The address is not one that a journey may reach. Never tried again."""


class _Transient(Exception):
    """Worth another attempt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hop:
    """One request of a chain of redirects."""

    url: str = field(repr=False)
    method: str
    body: bytes | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class HttpCaller:
    """Carries out `call` steps; threads share it. `allowed_hosts` may be private (the project says so)."""

    def __init__(self, *, allowed_hosts: Sequence[str] = (), resolve: Resolve = _resolve) -> None:
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._resolve = resolve
        # No proxy from the environment: it would resolve names by itself. No cookies are kept between calls.
        self._client = httpx.Client(follow_redirects=False, trust_env=False, headers={"User-Agent": "sojourn"})

    def close(self) -> None:
        self._client.close()

    def call(self, request: CallRequest) -> Any:
        """The answer's JSON; None where it was refused, is no JSON of at most 1 MiB, or all attempts failed.

        `timeout_seconds` is for the whole: attempts, pauses and redirects.
        """
        deadline = time.monotonic() + request.timeout_seconds
        pause = _FIRST_PAUSE_SECONDS
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._follow(request, deadline)
            except _Refused as refusal:
                logger.warning("a `call` step was refused: %s", refusal)
                return None
            except _Transient as failure:
                if attempt == _ATTEMPTS or time.monotonic() + pause >= deadline:
                    logger.warning("a `call` step was given up after %d attempts: %s", attempt, failure)
                    return None
            time.sleep(pause)
            pause *= 2
        return None

    def _follow(self, request: CallRequest, deadline: float) -> Any:
        body = None if request.json is None else json.dumps(request.json).encode()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        if body is not None and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "application/json"
        hop = _Hop(url=request.url, method=request.method, body=body, headers=headers)
        for _ in range(_REDIRECTS + 1):
            status, location, content = self._exchange(hop, deadline)
            if status in (301, 302, 303, 307, 308) and location is not None:
                hop = _redirected(hop, status, location)
                continue
            if status in _TRANSIENT:
                raise _Transient(f"answer {status}")
            if not 200 <= status < 300:
                raise _Refused(f"answer {status}")
            return _parse(content)
        raise _Refused("too many redirects")

    def _exchange(self, hop: _Hop, deadline: float) -> tuple[int, str | None, bytes]:
        target, host = self._target(hop.url)
        left = deadline - time.monotonic()
        if left <= 0:
            raise _Transient("out of time")
        try:
            with self._client.stream(
                hop.method,
                target,
                content=hop.body,
                headers={**hop.headers, "Host": host},
                timeout=left,
                # The certificate is checked against the name, though the connection goes to the address.
                extensions={"sni_hostname": urlsplit(hop.url).hostname},
            ) as response:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _LARGEST_ANSWER:
                        raise _Refused("the answer is larger than 1 MiB")
                    if time.monotonic() > deadline:
                        raise _Transient("out of time")
                return response.status_code, response.headers.get("Location"), bytes(content)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Transient(type(error).__name__) from None
        except (httpx.InvalidURL, ValueError) as error:
            # A header or a URL that no request can carry.
            raise _Refused(type(error).__name__) from None

    def _target(self, url: str) -> tuple[str, str]:
        """The URL with a checked address in place of the host, and the `Host` header."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _Refused("the URL cannot be read") from None
        if parts.scheme not in ("http", "https") or not host:
            raise _Refused("the URL must begin with http:// or https:// and name a host")
        if parts.username is not None or parts.password is not None:
            raise _Refused("the URL holds credentials; put them into a header")
        try:
            addresses = self._resolve(host, port or (443 if parts.scheme == "https" else 80))
        except (OSError, UnicodeError):
            raise _Transient("the host's name does not resolve") from None
        if not addresses:
            raise _Transient("the host's name does not resolve")
        # One forbidden address among several is enough: whoever mixes them hopes that we take the wrong one.
        if host not in self._allowed_hosts and not all(_is_public(address) for address in addresses):
            raise _Refused("the host has a private address; `allowed_hosts` in sojourn.yml may admit it")
        address = addresses[0]
        place = f"[{address}]" if ":" in address else address
        suffix = f":{port}" if port else ""
        name = f"[{host}]" if ":" in host else host
        return parts._replace(netloc=f"{place}{suffix}", fragment="").geturl(), f"{name}{suffix}"


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # The forms of IPv6 that lead to an IPv4 address are as private as that is.
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            found = inner
        elif found in ipaddress.ip_network("64:ff9b::/96"):
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.is_global and not found.is_multicast


def _redirected(hop: _Hop, status: int, location: str) -> _Hop:
    try:
        url = urljoin(hop.url, location)
        old, new = urlsplit(hop.url), urlsplit(url)
        is_same = (old.scheme, old.hostname, old.port) == (new.scheme, new.hostname, new.port)
    except ValueError:
        raise _Refused("the redirect cannot be read") from None
    # Secrets in the author's headers are for the host that the author named.
    headers = hop.headers if is_same else {}
    if status in (307, 308):
        return replace(hop, url=url, headers=headers)
    kept = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return _Hop(url=url, method="GET", body=None, headers=kept)


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
