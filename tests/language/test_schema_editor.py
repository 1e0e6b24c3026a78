"""What an editor makes of the schemas: yaml-language-server with the settings that `sojourn init` writes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from channels.registry import adapter_infos
from engine.language.adapters import AdapterInfo
from engine.language.schema import KINDS, Names, make_schema, project_names
from tests.language import language_server
from tests.language.language_server import LanguageServer
from tests.language.test_cases import ADAPTERS, names
from workers.cli.schema import write_schemas

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STARTER = ROOT / "workers" / "starter"
SETTINGS = json.loads((STARTER / ".vscode" / "settings.json").read_text())["yaml.schemas"]

#: Shape errors that a schema cannot tell, by case and line; `sojourn check` does.
BEYOND = {
    ("kinds", 1): "a document of another kind is a document with wrong keys",
    ("anchors", 5): "an alias, which check refuses on its own account",
    ("commas", 4): "a key without a colon, which the server passes over",
    ("together", 9): "`then` beside a list of alternatives",
    ("together", 11): "two `then` for one event",
    ("schedules", 4): "a date that never comes",
    ("weights", 4): "weights are added up",
    ("weights", 5): "weights are added up",
    ("durations", 10): "a timeout above five minutes",
    ("times", 7): "a window that closes when it opens",
    ("project_file", 25): "quiet hours that end when they begin",
    ("many_documents", 1): "a second document",
}

Program = Callable[[], Path]


@pytest.fixture(scope="session")
def program() -> Path:
    return language_server.program()


@contextmanager
def editor(program: Path, folder: Path, known: Names) -> Iterator[LanguageServer]:
    """The server in a folder with the schemas of these names."""
    write_schemas({kind: make_schema(kind, known) for kind in KINDS}, folder / ".sojourn" / "schemas")
    with LanguageServer(program, folder, SETTINGS) as server:
        yield server


def documents(root: Path) -> dict[str, tuple[str, str]]:
    """The authored files of a project."""
    files = [path for path in (root / "sojourn.yml", *sorted((root / "journeys").rglob("*.y*ml"))) if path.is_file()]
    return {str(path): (path.relative_to(root).as_posix(), text_of(path)) for path in files}


def text_of(path: Path) -> str:
    """The text; one case is deliberately not UTF-8."""
    return path.read_text(encoding="utf-8", errors="replace")


# ── what is right is not underlined ──────────────────────────────────────────────────────────────────────────────────
PROJECTS: Mapping[str, Path] = {
    "demo shop": ROOT,
    "starter": STARTER,
    **{path.parent.name: path.parent for path in sorted((ROOT / "tests" / "scenarios").glob("*/sojourn.yml"))},
}


@pytest.mark.parametrize("project", PROJECTS)
def test_authored_files_are_not_underlined(project: str, program: Path, tmp_path: Path) -> None:
    root = PROJECTS[project]
    opened = documents(root)
    assert len(opened) >= 3
    with editor(program, tmp_path, project_names(root, {}, adapter_infos(), {})) as server:
        assert {name: found for name, found in server.problems(opened).items() if found} == {}


@pytest.mark.parametrize("case", ["everything", "careful"])
def test_every_form_of_every_key_is_not_underlined(case: str, program: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    for layer in (HERE / "standard", HERE / "cases" / "ok" / case, HERE / "every_key"):
        shutil.copytree(layer, root, dirs_exist_ok=True)
    with editor(program, tmp_path, project_names(root, {"SET": "x"}, ADAPTERS, {})) as server:
        # The scenario names the journeys of the first case only.
        opened = {name: each for name, each in documents(root).items() if case == "everything" or "tests" not in name}
        assert {name: found for name, found in server.problems(opened).items() if found} == {}


# ── what is wrong is ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_mistake_of_shape_is_underlined_in_its_line(program: Path, tmp_path: Path) -> None:
    opened: dict[str, tuple[str, str]] = {}
    expected: dict[str, set[int]] = {}
    passed_over: set[tuple[str, int]] = set()
    for case in names("err"):
        path = HERE / "cases" / "err" / case
        files = documents(path) if path.is_dir() else {case: ("journeys/case.yml", text_of(path.with_suffix(".yml")))}
        said = (path.parent / f"{case}.out").read_text()
        for name, (file, text) in files.items():
            lines = {int(line) for line in re.findall(rf"^{re.escape(file)}:(\d+):\d+: SJ2", said, re.MULTILINE)}
            passed_over |= {(case, line) for line in lines} & BEYOND.keys()
            opened[name], expected[name] = (file, text), {line for line in lines if (case, line) not in BEYOND}
    assert passed_over == BEYOND.keys()
    with editor(program, tmp_path, Names()) as server:
        underlined = {name: {line for line, _ in found} for name, found in server.problems(opened).items()}
    missed = {name: sorted(lines - underlined[name]) for name, lines in expected.items() if lines - underlined[name]}
    assert missed == {}
    assert sum(map(len, expected.values())) > 100


HEAD = "journey: welcome\ntopic: news\ntrigger: {event: Signed Up}\nsteps:\n"


@pytest.fixture(scope="module")
def server(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """An editor in the starter project."""
    infos: Mapping[str, AdapterInfo] = adapter_infos()
    settings = {"smtp": {"host": True, "from": True, "port": False}}
    known = project_names(STARTER, {}, infos, settings)
    with editor(program, tmp_path_factory.mktemp("editor"), known) as opened:
        yield opened


@pytest.mark.parametrize(
    ("step", "line", "message"),
    [
        ("  - send: email\n    templat: welcome/hello\n", 6, "Property templat is not allowed."),
        ("  - wait: 3 days\n", 5, "Whole numbers with the units w d h m s"),
        ("  - wait: {untl: 3d}\n", 5, "Property untl is not allowed."),
        ("  - wat: 1h\n", 5, "Property wat is not allowed."),
        ("  - send: emial\n    template: welcome/hello\n", 5, 'Valid values: "email"'),
        ("  - send: email\n    template: welcome/helo\n", 6, '"welcome/hello"'),
        ("  - {send: email, template: welcome/hello, otherwise: {quite: wait}}\n", 5, "Property quite is not allowed."),
        ("  - {send: email, template: welcome/hello, otherwise: wait}\n", 5, 'Valid values: "skip", "exit"'),
        ('  - wait: {until: "25:00"}\n', 5, 'Such as "09:00" or "tue 10:00"'),
    ],
)
def test_a_mistake_in_a_step_is_told_in_its_line(server: LanguageServer, step: str, line: int, message: str) -> None:
    found = server.problems({"it": ("journeys/welcome.yml", HEAD + step)})["it"]
    assert any(at == line and message in said for at, said in found), found
    assert {at for at, _ in found} <= {line, 5}


def test_settings_are_those_of_the_adapter(server: LanguageServer) -> None:
    text = "project: shop\nchannels:\n  email: {use: smtp,\n    settings: {hots: mail.example}}\n"
    found = server.problems({"it": ("sojourn.yml", text)})["it"]
    assert (4, "Property hots is not allowed.") in found
    assert (4, 'Missing property "host".') in found


def test_a_step_is_completed(server: LanguageServer) -> None:
    kinds = server.completions("journeys/welcome.yml", f"{HEAD}  - \n", 5, 5)
    assert {"send", "wait", "wait_for", "branch", "split", "set", "emit", "call", "start", "repeat", "exit"} <= {*kinds}
    beside = server.completions("journeys/welcome.yml", f"{HEAD}  - send: email\n    \n", 6, 5)
    assert {"template", "with", "topic", "to", "window", "expires", "otherwise", "id", "title", "if"} <= {*beside}
    assert "within" not in beside


@pytest.mark.parametrize(
    ("text", "line", "column", "offered"),
    [
        ("  - send: email\n    template: \n", 6, 15, {"welcome/hello", "welcome/tips", "orders/thanks"}),
        ("  - send: \n", 5, 11, {"email"}),
        ("  - send: email\n    topic: \n", 6, 12, {"news", "orders"}),
        ("  - start: \n", 5, 12, {"welcome", "order_thanks"}),
        ("  - send: email\n    otherwise: \n", 6, 16, {"skip", "exit"}),
        ("  - send: email\n    otherwise:\n      quiet: \n", 7, 14, {"skip", "wait", "exit"}),
    ],
)
def test_names_of_the_project_are_offered(
    server: LanguageServer, text: str, line: int, column: int, offered: set[str]
) -> None:
    assert set(server.completions("journeys/welcome.yml", HEAD + text, line, column)) == offered


def test_a_key_is_explained(server: LanguageServer) -> None:
    text = f"{HEAD}  - send: email\n    template: welcome/hello\n    expires: 6h\n"
    assert "Sends one message on this channel" in server.hover("journeys/welcome.yml", text, 5, 6)
    assert "Not sent if it could not be within this time" in server.hover("journeys/welcome.yml", text, 7, 7)
    assert "What lets people in" in server.hover("journeys/welcome.yml", text, 3, 3)
