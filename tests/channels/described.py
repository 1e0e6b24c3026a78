"""A provider's published API description, held against what an adapter really sends over the wire.

    class TestX(DescribedContract, TimedReceiptContract):
        description = "sendgrid"        # openapi/sendgrid.json

Then every request of every test that goes through `serving` is checked, and so is the answer that the suite plays as
the provider's yes: a fake that nobody here checked proves nothing.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from channels.base import ChannelAdapter
from channels.testing.contract import HttpContract
from channels.testing.server import Reply, ScriptedServer, SeenRequest, Step

with warnings.catch_warnings():
    # Its dependencies announce their own future; none of it is about us.
    warnings.simplefilter("ignore", DeprecationWarning)
    from openapi_core import Config, OpenAPI
    from openapi_core.testing import MockRequest, MockResponse

_FOLDER = Path(__file__).parent / "openapi"
_HOST = "https://described.example"


class Description:
    """One provider's API description."""

    def __init__(self, name: str) -> None:
        document: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        # The host is whatever the test serves on; the path below it is part of what is described.
        document["servers"] = [{"url": _HOST}]
        for path in document["paths"].values():
            path.pop("servers", None)
        self._api = OpenAPI.from_dict(document, config=Config(spec_validator_cls=None))

    def check_request(self, seen: SeenRequest) -> None:
        """Raises openapi-core's error, which names what the description does not allow."""
        self._api.validate_request(_request(seen))

    def check_response(self, seen: SeenRequest, reply: Reply) -> None:
        """The same for the answer to that request."""
        content_type = reply.headers.get("Content-Type", "application/json")
        response = MockResponse(
            data=reply.encoded(), status_code=reply.status, headers=dict(reply.headers), content_type=content_type
        )
        self._api.validate_response(_request(seen), response)


def _request(seen: SeenRequest) -> MockRequest:
    path, _, query = seen.path.partition("?")
    arguments = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
    return MockRequest(
        _HOST,
        seen.method.lower(),
        path,
        args=arguments,
        headers=dict(seen.headers),
        data=seen.body or None,
        content_type=seen.headers.get("content-type", "application/json").partition(";")[0],
    )


@cache
def described(name: str) -> Description:
    """The description under that name, read once."""
    return Description(name)


class DescribedContract(HttpContract):
    """HttpContract, with every request held against the provider's description."""

    description: str

    @contextmanager
    def serving(self, *script: Step) -> Iterator[tuple[ChannelAdapter[Any], ScriptedServer]]:
        with super().serving(*script) as (adapter, server):
            yield adapter, server
            for seen in server.seen:
                described(self.description).check_request(self.as_described(seen))

    def test_the_suites_yes_is_the_published_one(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
            described(self.description).check_response(self.as_described(server.seen[0]), self.exhibit.accepted)

    def as_described(self, seen: SeenRequest) -> SeenRequest:
        """The request under the path that the description has for it, where part of that is in its servers."""
        return seen
