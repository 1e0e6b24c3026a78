"""A provider's HTTP server on this machine that answers by script, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qsl


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer of a provider."""

    status: int
    #: Text as it is, or an object to be sent as JSON.
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body as it goes over the wire."""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


#: `silence` keeps the caller waiting; `cut` resets the connection once the request is read.
Step = Reply | Literal["silence", "cut"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenRequest:
    """One request that the server got."""

    method: str
    path: str
    #: Lower-case names.
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> dict[str, str]:
        """The body's fields, where it is a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class ScriptedServer:
    """Answers with the steps in order, the last one again and again. A context manager."""

    def __init__(self, *script: Step) -> None:
        self.seen: list[SeenRequest] = []
        self._script = list(script)
        self._is_over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self._serve()

            def do_GET(self) -> None:
                self._serve()

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                names = {name.lower(): value for name, value in self.headers.items()}
                scripted.seen.append(SeenRequest(method=self.command, path=self.path, headers=names, body=body))
                script = scripted._script
                step = script.pop(0) if len(script) > 1 else script[0]
                if step == "silence":
                    scripted._is_over.wait(30)
                    self.close_connection = True
                elif step == "cut":
                    # Lingering for no time makes the close a reset.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                else:
                    self._reply(step)

            def _reply(self, reply: Reply) -> None:
                content = reply.encoded()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
