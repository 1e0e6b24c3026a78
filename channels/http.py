"""The base of adapters that speak HTTP, and the one place where an HTTP answer becomes an error of ours.

    compose(message)     the provider's request
    accept(response)     what it said when it took the message (2xx)
    error_word(response) its own code in a refusal, looked up in ERRORS; without one the status decides

Whether a message left decides between *transient* and *doubtful*. No connection: it did not, try again. A request
written and no answer, or an answer of 2xx that cannot be read: nobody knows, so it is doubtful: what
follows is the dispatcher's to decide, which repeats it to a provider that de-duplicates by our key and to nobody else.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import ssl
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import field_validator

from channels.base import AdapterContext, AdapterSettings, ChannelAdapter, Meaning, channel_error, safe_word
from engine.delivery.message import Message, SendResult
from engine.errors import ChannelError

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
#: A provider's word is honoured up to here; the dispatcher gives up after as long.
LONGEST_RETRY_AFTER = timedelta(hours=24)

# At INFO httpx logs the whole URL of each request, and some providers carry their token in it.
logging.getLogger("httpx").setLevel(logging.WARNING)

_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


class HttpSettings(AdapterSettings):
    """Settings of every adapter that speaks HTTP."""

    #: Another address of the same API: a region, a gateway of your own, a test.
    base_url: str | None = None

    @field_validator("base_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        is_local = _LOOPBACK.fullmatch(parts.hostname or "") is not None
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise ValueError("must begin with https:// (http:// only to this machine): secrets go over it")
        return value


H = TypeVar("H", bound=HttpSettings)


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that we trust; reading them takes 20 ms, so all clients share them."""
    return httpx.create_ssl_context()


def open_client(*, read_seconds: float = READ_SECONDS) -> httpx.Client:
    """A client for one provider account; threads share it and its connections."""
    # Redirects are not followed: our credentials would go along to wherever they point.
    return httpx.Client(
        verify=_tls(),
        timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=100),
        headers={"User-Agent": "sojourn"},
        follow_redirects=False,
    )


class HttpAdapter(ChannelAdapter[H]):
    """An adapter over a provider's HTTP API."""

    #: Address of the API, without a slash at its end; an adapter with regions sets its own in `__init__`.
    base_url: str
    #: Signs each request as it leaves, for a provider that wants more than a header.
    auth: httpx.Auth | None = None
    #: The provider's code -> what it means. Codes that are not here are judged by the HTTP status.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {}

    def __init__(self, settings: H, context: AdapterContext, client: httpx.Client | None = None) -> None:
        super().__init__(settings, context)
        self._client = client or open_client()

    def close(self) -> None:
        self._client.close()

    @abstractmethod
    def compose(self, message: Message) -> httpx.Request:
        """The provider's request for the message, made with `request`."""

    @abstractmethod
    def accept(self, response: httpx.Response) -> SendResult:
        """What a 2xx answer says; raises `refusal` where the provider says no under a 2xx."""

    def error_word(self, response: httpx.Response) -> object:  # noqa: ARG002 (whoever overrides it needs it)
        """The provider's own code in a refusal; empty where it gives none."""
        return ""

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        """How long the provider asks us to wait, where it does."""
        return parse_retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))

    def deliver(self, message: Message) -> SendResult:
        response = self.exchange(self.composed(lambda: self.compose(message)))
        if not response.is_success:
            raise self.refusal(self.error_word(response), response)
        return self.accept(response)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: Any = None,
        content: bytes | None = None,
        files: Sequence[tuple[str, tuple[str, bytes, str]]] = (),
    ) -> httpx.Request:
        """A request below the API's address, with a form (and files), a JSON body, or bytes as they are."""
        address = self.settings.base_url or self.base_url
        if path:
            address = address.rstrip("/") + path
        if content is not None:
            return self._client.build_request(method, address, headers=headers, content=content)
        if form is not None:
            return self._client.build_request(method, address, headers=headers, data=form, files=files or None)
        return self._client.build_request(method, address, headers=headers, json=body)

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """The provider's answer, whatever its status; raises where there is none."""
        try:
            return self._client.send(request, auth=self.auth)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            failure = channel_error(
                "transient", f"{self.name} cannot be reached ({type(error).__name__}): nothing was sent"
            )
        except httpx.HTTPError as error:
            failure = self.unanswered(f"gave no answer ({type(error).__name__})")
        # Raised out here, so that httpx's error, which holds the request, does not go along.
        raise failure

    def unanswered(self, what: str) -> ChannelError:
        """The error for a request that was written and not understandably answered.

        Doubtful where the provider de-duplicates, too: the same key makes another attempt safe there, and only there. A
        backup would send a second message.
        """
        return channel_error("doubtful", f"{self.name} {what}: it may have taken the message")

    def refusal(self, word: object, response: httpx.Response) -> ChannelError:
        """The error for a provider's no: by its code, else by the HTTP status."""
        code = safe_word(word)
        meaning = self.ERRORS.get(code) or status_meaning(response.status_code)
        told = f"HTTP {response.status_code}" + (f", code {code}" if code else "")
        return channel_error(
            meaning, f"{self.name} refused the message ({told})", retry_after=self.retry_after(response)
        )

    def json_object(self, response: httpx.Response) -> Mapping[str, Any]:
        """The JSON object of a 2xx answer; one that cannot be read leaves the message in doubt."""
        answer = try_json_object(response)
        if answer is None:
            raise self.unanswered(f"answered HTTP {response.status_code} with a body that is no JSON object")
        return answer


def try_json_object(response: httpx.Response) -> Mapping[str, Any] | None:
    """The JSON object of an answer, or None: an error page of a gateway in between is not ours to judge."""
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def status_meaning(status: int) -> Meaning:
    """What an HTTP status means where the provider says nothing that we know."""
    match status:
        case 408 | 425 | 429:
            return "transient"
        case 401 | 402 | 407:
            # The credentials are the same for every message.
            return "config"
        case 403 | 404 | 405:
            # So is the address; but some say no with these to one message, too.
            return "forbidden"
        case 413:
            return "too_large"
        case 504 | 524:
            # A gateway that got no answer from the provider behind it: to us, too, that is none.
            return "doubtful"
        case _ if status >= 500:
            return "transient"
        case _ if 300 <= status < 400:
            return "forbidden"
        case _ if 200 <= status < 300:
            return "unknown"
        case _:
            return "rejected"


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """The wait that a `Retry-After` names, in seconds or as an HTTP date; None where it names none. At most a day."""
    text = value.strip()
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text, re.ASCII):
        return min(timedelta(seconds=float(text)), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(aware - now, timedelta(0)), LONGEST_RETRY_AFTER)


def parse_reset(value: str, now: datetime) -> timedelta | None:
    """The wait until a rate limit begins anew at this Unix time, in seconds; None where it is none. At most a day."""
    if not re.fullmatch(r"\d{1,12}", value, re.ASCII):
        return None
    return min(max(timedelta(seconds=int(value) - now.timestamp()), timedelta(0)), LONGEST_RETRY_AFTER)


def basic_auth(user: str, password: str) -> str:
    """Value of an `Authorization` header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
