"""yaml-language-server as an editor drives it: over standard input and output, with the schemas of a project."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.npm import install
from tests.waiting import PATIENCE

EDITOR = Path(__file__).parent / "editor"


def program() -> Path:
    """The server's program, installed as `editor/package-lock.json` pins it."""
    return install(EDITOR) / "yaml-language-server" / "bin" / "yaml-language-server"


class LanguageServer:
    """A running server for one folder; a context manager."""

    def __init__(self, program: Path, root: Path, schemas: dict[str, Any]) -> None:
        self._settings = {
            "yaml": {"schemas": schemas, "schemaStore": {"enable": False}, "completion": True, "hover": True}
        }
        self._root = root
        self._number = 0
        self._documents = 0
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        self._process = subprocess.Popen(
            ["node", program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        folder = {"uri": self._root.as_uri(), "name": self._root.name}
        abilities = {
            "workspace": {"configuration": True, "workspaceFolders": True},
            "textDocument": {"publishDiagnostics": {}, "hover": {"contentFormat": ["plaintext"]}},
        }
        self._ask(
            "initialize",
            {"processId": None, "rootUri": folder["uri"], "workspaceFolders": [folder], "capabilities": abilities},
        )
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": self._settings})
        return self

    def __exit__(self, *_: object) -> None:
        self._ask("shutdown", None)
        self._tell("exit", None)
        self._process.communicate(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)

    def problems(self, documents: Mapping[str, tuple[str, str]]) -> dict[str, list[tuple[int, str]]]:
        """What the editor underlines in each document, given as its path in the project and its text.

        Each a line, counted from 1, and the message.
        """
        opened = {self._open(path, text): name for name, (path, text) in documents.items()}
        # They come after a pause in typing, in any order.
        while not opened.keys() <= self._diagnostics.keys():
            message = self._answers.get(timeout=PATIENCE)
            assert "id" not in message, message
        return {
            name: [(each["range"]["start"]["line"] + 1, each["message"]) for each in self._diagnostics[uri]]
            for uri, name in opened.items()
        }

    def completions(self, path: str, text: str, line: int, column: int) -> list[str]:
        """The labels offered at a place, counted from 1."""
        answer = self._ask("textDocument/completion", self._at(path, text, line, column))
        return [item["label"] for item in answer["items"]]

    def hover(self, path: str, text: str, line: int, column: int) -> str:
        """The words shown on a place, counted from 1; empty where there are none."""
        answer = self._ask("textDocument/hover", self._at(path, text, line, column))
        return str(answer["contents"]["value"]) if answer else ""

    def _at(self, path: str, text: str, line: int, column: int) -> dict[str, Any]:
        place = {"line": line - 1, "character": column - 1}
        return {"textDocument": {"uri": self._open(path, text)}, "position": place}

    def _open(self, path: str, text: str) -> str:
        """The address of a new document, in a folder of its own: no late diagnostics of another are taken for its."""
        self._documents += 1
        uri = (self._root / str(self._documents) / path).as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return uri

    # ── the protocol ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _ask(self, method: str, params: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._answers.get(timeout=PATIENCE)
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def _tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> None:
        out = self._process.stdout
        assert out is not None
        while header := out.readline():
            length = int(header.split(b":")[1])
            while out.readline().strip():
                pass
            self._take(json.loads(out.read(length)))

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "workspace/configuration", "id": number, "params": {"items": items}}:
                sections = [self._settings.get(str(item.get("section")), {}) for item in items]
                self._send({"id": number, "result": sections})
            case {"method": "textDocument/publishDiagnostics", "params": {"uri": uri, "diagnostics": found}}:
                self._diagnostics[uri] = found
                self._answers.put({})
            case {"method": _, "id": number}:
                self._send({"id": number, "result": None})
            case {"id": _}:
                self._answers.put(message)
