"""The schemas say what the readers take, and say it in words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.language import conditions, fields
from engine.language.diagnostics import Problems, format_diagnostics
from engine.language.project import compile_project
from engine.language.schema import KINDS, DocumentKind, Names, make_schema, project_names
from engine.language.source import ListNode, MapNode, Node, read_source
from engine.plan.model import UNSENT
from engine.simulator import reading
from engine.simulator.runner import collect_scenarios
from tests.language.test_cases import ADAPTERS, lay_out
from tests.waiting import PATIENCE

HERE = Path(__file__).parent
SOJOURN = Path(sys.executable).with_name("sojourn")

Schema = dict[str, Any]
Place = tuple[str, int, int]


def schema_of(kind: DocumentKind) -> Schema:
    return make_schema(kind, Names())


def properties(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every property of a schema, with its path."""
    waiting: list[tuple[str, Any]] = [("", schema)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, list):
            waiting += [(f"{path}/{index}", item) for index, item in enumerate(each)]
        elif isinstance(each, dict):
            named = each.get("properties", {})
            if path.rpartition("/")[2] != "properties":
                yield from ((f"{path}/properties/{name}", value) for name, value in named.items())
            waiting += [(f"{path}/{key}", value) for key, value in each.items()]


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_explained_on_hover(kind: DocumentKind) -> None:
    schema = schema_of(kind)

    def words(each: Schema) -> str:
        target = each.get("$ref", "").rpartition("/")[2]
        return str(each.get("description") or (words(schema["definitions"][target]) if target else ""))

    explained = {path: words(each) for path, each in properties(schema)}
    assert explained
    assert [path for path, said in explained.items() if len(said) < 10 or not said.endswith((".", "`", ")"))] == []


# ── agreement ────────────────────────────────────────────────────────────────────────────────────────────────────────
class Agreement:
    """Every mapping of the documents, with the closed object of the schema that takes it."""

    def __init__(self, kind: DocumentKind) -> None:
        self._schema = schema_of(kind)
        self.found: dict[Place, Schema] = {}

    def read(self, path: Path, root: Path) -> None:
        problems = Problems()
        for document in read_source(path.relative_to(root).as_posix(), path.read_bytes(), problems).documents:
            self._walk(self._schema, document)
        assert problems.sorted() == []

    def unused(self) -> list[Schema]:
        """Closed objects of the schema that took no mapping."""
        used = [id(each) for each in self.found.values()]
        waiting: list[Any] = [self._schema]
        left = []
        while waiting:
            each = waiting.pop()
            if isinstance(each, dict):
                left += [each] if each.get("additionalProperties") is False and id(each) not in used else []
                waiting += each.values()
            elif isinstance(each, list):
                waiting += each
        return left

    def _walk(self, schema: Schema, node: Node) -> None:
        taking = [each for each in self._objects(schema, node) if self._fits(each, node)]
        if isinstance(node, ListNode):
            for item in node.items:
                for each in taking:
                    self._walk(each["items"], item)
        elif isinstance(node, MapNode):
            closed = [each for each in taking if each.get("additionalProperties") is False]
            assert len(closed) <= 1, (node, closed)
            if closed:
                self.found[(node.file, node.line, node.column)] = closed[0]
            for key, pair in node.pairs.items():
                for each in taking:
                    inner = each.get("properties", {}).get(key, each.get("additionalProperties"))
                    if isinstance(inner, dict):
                        self._walk(inner, pair.value)

    def _objects(self, schema: Schema, node: Node) -> Iterator[Schema]:
        """What a schema comes to for a node: alternatives and references followed."""
        if "$ref" in schema:
            yield from self._objects(self._schema["definitions"][schema["$ref"].rpartition("/")[2]], node)
        for each in schema.get("anyOf", ()):
            yield from self._objects(each, node)
        if "if" in schema:
            is_object = schema["if"] == {"type": "object"} and isinstance(node, MapNode)
            yield from self._objects(schema["then" if is_object else "else"], node)
        if {"items", "properties", "additionalProperties"} & schema.keys():
            yield schema

    @staticmethod
    def _fits(schema: Schema, node: Node) -> bool:
        if isinstance(node, ListNode):
            return "items" in schema
        if not isinstance(node, MapNode) or "items" in schema:
            return False
        is_open = schema.get("additionalProperties") is not False
        return set(schema.get("required", ())) <= node.pairs.keys() and (
            is_open or node.pairs.keys() <= schema["properties"].keys()
        )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that uses every key there is."""
    lay_out("ok", "everything", tmp_path)
    shutil.copytree(HERE / "every_key", tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[Place, frozenset[str]]:
    """The keys that the readers take in each mapping of the project, as they say while they read it."""
    found: dict[Place, frozenset[str]] = {}
    read_fields, know = fields.Fields.__init__, reading._Reader._known

    def note(node: MapNode, allowed: Any) -> None:
        found[(node.file, node.line, node.column)] = frozenset(allowed)

    def noting_fields(self: fields.Fields, node: MapNode, problems: Problems, what: str, allowed: Any) -> None:
        note(node, allowed)
        read_fields(self, node, problems, what, allowed)

    def noting_known(self: reading._Reader, node: MapNode, allowed: Any) -> None:
        note(node, allowed)
        know(self, node, allowed)

    monkeypatch.setattr(fields.Fields, "__init__", noting_fields)
    monkeypatch.setattr(reading._Reader, "_known", noting_known)
    project, problems = compile_project(root, {}, ADAPTERS)
    assert format_diagnostics(problems, "concise", {}) == ""
    assert project is not None
    assert format_diagnostics(collect_scenarios(project, [])[1], "concise", {}) == ""
    return found


def test_the_schemas_take_exactly_the_keys_that_the_readers_take(
    root: Path, taken: Mapping[Place, frozenset[str]]
) -> None:
    """A key added to a reader and not to its schema, or the other way round, fails here."""
    agreements: dict[DocumentKind, Agreement] = {kind: Agreement(kind) for kind in KINDS}
    for path in sorted(root.rglob("*.yml")):
        agreements[kind_of(path, root)].read(path, root)
    in_schemas = {place: each for agreement in agreements.values() for place, each in agreement.found.items()}
    differing = {
        place: sorted(allowed ^ in_schemas[place]["properties"].keys())
        for place, allowed in taken.items()
        if allowed - of_other_forms(in_schemas[place]) != in_schemas[place]["properties"].keys()
    }
    assert differing == {}
    # What is read without a list of keys is checked against its own table.
    apart = {frozenset(each["properties"]) for place, each in in_schemas.items() if place not in taken}
    assert apart == {frozenset(conditions._FOLDS), frozenset(UNSENT)}
    assert [each for agreement in agreements.values() for each in agreement.unused()] == []


def of_other_forms(schema: Schema) -> set[str]:
    """Keys that the reader knows here only because it reads several forms by one list, and then tells them apart."""
    forms = {
        "Ends where a condition holds": {"event", "segment"},
        "Waits for days of the calendar": {"until"},
        "Waits for a moment": {"days", "at"},
    }
    return forms.get(str(schema.get("title")), set())


def kind_of(path: Path, root: Path) -> DocumentKind:
    match path.relative_to(root).parts:
        case ("sojourn.yml",):
            return "project"
        case ("journeys", "segments", *_):
            return "segments"
        case ("journeys", "tests", *_):
            return "scenario"
        case _:
            return "journey"


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_inside_a_project_its_names_are_what_is_allowed(root: Path) -> None:
    adapters = {"smtp": {"host": True, "from": True, "port": False}}
    names = project_names(root, {}, ADAPTERS, adapters)
    journey = make_schema("journey", names)["definitions"]
    assert journey["channel"]["enum"] == ["email", "sms", "sms_backup", "chat", "room"]
    assert journey["topic"]["enum"] == ["cart", "news", "orders", "desk"]
    assert journey["journey"]["enum"] == ["everything", "welcome"]
    assert journey["segment"]["enum"] == ["customers", "folded", "vip"]
    assert journey["template"]["enum"] == ["cart", "desk", "hello", "hello_or_cart"]
    # What the catalogue lacks is a warning of `check` only; where channels are declared, a new one is no mistake.
    assert journey["event"] == {"type": "string", "examples": ["Cart Updated", "Order Completed", "Signed Up"]}
    project = make_schema("project", names)["definitions"]
    assert project["channel"]["examples"] == ["email", "sms", "sms_backup", "chat", "room"]
    assert "enum" not in project["channel"]
    [settings] = [each["then"]["properties"]["settings"] for each in project["channel_entry"]["allOf"]]
    assert (list(settings["properties"]), settings["required"]) == (["host", "from", "port"], ["host"])


def test_a_project_with_mistakes_still_gives_its_names(root: Path) -> None:
    (root / "journeys" / "broken.yml").write_text("journey: broken\nsteps: [{wait: soon}]\ntitle: [\n")
    (root / "journeys" / "wrong.yml").write_text("journey: wrong\nsteps: [{wait: soon}]\n")
    assert project_names(root, {}, ADAPTERS, {}).journeys == ("everything", "welcome", "wrong")


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def sojourn(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SOJOURN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_schemas_are_printed_or_written(tmp_path: Path) -> None:
    one, every = sojourn("schema", "journey", cwd=tmp_path), sojourn("schema", cwd=tmp_path)
    assert (one.returncode, every.returncode) == (0, 0)
    assert json.loads(one.stdout) == json.loads(every.stdout)["journey"]
    written = sojourn("schema", "--output", "made/schemas", cwd=tmp_path)
    assert written.stdout.splitlines() == [f"made/schemas/{kind}.json" for kind in KINDS]
    files = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "made" / "schemas").iterdir()}
    assert files == json.loads(every.stdout)
    assert "enum" not in files["journey"]["definitions"]["channel"]
    assert "smtp" in files["project"]["definitions"]["adapter"]["anyOf"][0]["enum"]


def test_an_unknown_kind_of_document_is_unusable_input(tmp_path: Path) -> None:
    assert sojourn("schema", "journeys", cwd=tmp_path).returncode == 2
