"""The server that the benchmark of intake loads, in a process of its own: `python -m tests.bench._intake_server URL`.

The whole application over a database, and beside it an empty endpoint. Prints the port that it listens on, and ends
with its standard input.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.assembly import Engine
from engine.project import Project
from engine.storage.database import Database
from engine.store import KeyRecord
from engine.web.access import key_hash
from engine.web.app import create_app
from workers.api import ApiServer
from workers.clock import system_now

WRITE_KEY = "sj_ingest_0123456789abcdef"


class _NoCalls:
    def call(self, request: object) -> object:
        raise AssertionError("nothing here calls anything")


async def _empty(_: Request) -> Response:
    return JSONResponse({"success": True})


async def _spent(_: Request) -> Response:
    """Seconds of the processor that this process has spent, in all its threads."""
    return JSONResponse(time.process_time())


def serve(url: str) -> None:
    database = Database(url)
    database.migrate()
    with database.transaction() as unit:
        unit.access.save_key(
            KeyRecord(
                key_hash=key_hash(WRITE_KEY),
                name="bench",
                scopes=("ingest",),
                created_at=datetime(2026, 1, 1, tzinfo=UTC),
            )
        )
    engine = Engine(
        project=Project(name="bench", root=Path(), timezone="UTC", locale="en", database=url),
        store=database,
        adapters={},
        caller=_NoCalls(),
        project_key=b"k" * 32,
        public_url="http://127.0.0.1",
        clock=system_now,
    )
    app = create_app(engine, on_intake=lambda: None)
    # Behind intake's one route: only that is cheaper to find.
    app.router.routes[1:1] = [Route("/empty", _empty, methods=["POST"]), Route("/spent", _spent, methods=["GET"])]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ApiServer(app, host="127.0.0.1", port=port)
    server.start()
    print(json.dumps(port), flush=True)
    sys.stdin.read()
    server.stop()
    database.close()


if __name__ == "__main__":
    serve(sys.argv[1])
