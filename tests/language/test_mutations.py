"""Whatever an author's file comes to hold, `sojourn check` says what is wrong with it: it never crashes or hangs.

Valid projects are changed at random, in text and in structure, by a seed that a failure names. `--mutations 10000` goes
deeper than every run does.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.language.diagnostics import Problems, format_diagnostics
from engine.language.schema import KINDS, Names, make_schema
from engine.language.source import plain, read_source
from tests.language.test_cases import found
from tests.language.test_schema import properties

HERE = Path(__file__).parent

#: Seconds of the processor for one check; what else runs on the machine does not count.
LONGEST = 2.0

#: Mutations of every run.
QUICK = 100

#: Characters with a meaning for YAML, for expressions or for a careless reader.
CHARACTERS = [*"\t\n\r :-,[]{}()&*!|>'\"%@`#?~=\\/$.0aZ", "\0", "\x07", "\x1b", "\u0085", "\u2028", "\ufeff", "\ufffe"]
CHARACTERS += ["é", "İ", "ß", "ﬁ", "٣", "１", "\u0301", "\u202e", "\u200b", "𝟙", "😀", "\U0010ffff"]

#: Scalars to put in the place of others.
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 3.5, 10**30, -(10**30), 1e308, "", " ", "~", "null", "=", "= ", "\0"),
    *("${", "${X}", "${X:-}", "${A}" * 50, "now", "any", "start", "email", "/", ".", "..", "../../etc/passwd"),
    *("0m", "1h", "-1h", "9" * 400 + "d", "1w" * 500, "00:00", "24:00", "25:61", "50/s", "0/s", "1e9/s", "100.001%"),
    *("2026-02-30", "2026-03-02T10:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    *("* * * * *", "0 0 30 2 *", "*/0 * * * *", "1-99999999 * * * *", "Europe/Madrid", "x" * 100_000),
    *("(" * 300, "not " * 500 + "true", "1 + " * 500 + "1", "profile" + ".a" * 500, "count()", "count(now)"),
    *('matches(profile.name, "(a+)+$")', "1 / 0", "10 ** 10 ** 10", "[] == {}", "lambda: 1", "f'{x}'", "a if b else c"),
    *(
        "__import__('os')",
        "days(10**12)",
        "date('x') + days(1e308)",
        'event["from"]',
        "steps.a.event.b",
        "segment('vip')",
    ),
    *("http://[::1", "http://127.0.0.1:99999/", "https://user:pw@host/", "javascript:1"),
    *([], {}, [[]], [{}], {"": ""}, {"if": {"all": []}}, {"event": "X"}, [None], {"a": {"b": {"c": {}}}}),
]

Data = Any
Mutate = Callable[[str, random.Random], str | bytes]


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def change_characters(text: str, chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(text) + 1)
        until = at + chance.choice((0, 0, 1, 1, 3))
        text = text[:at] + chance.choice(("", chance.choice(CHARACTERS))) + text[until:]
    return text


def change_lines(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[other])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = " " * chance.randrange(12) + lines[at].lstrip()
        case 4:
            lines[at : at + chance.randrange(6)] = []
        case _:
            lines[at:at] = lines[other : other + 20] * chance.choice((1, 2, 30))
    return "\n".join(lines)


def change_encoding(text: str, chance: random.Random) -> bytes:
    raw = bytearray(text.encode())
    match chance.randrange(4):
        case 0:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        case 1:
            return text.encode("utf-16")
        case 2:
            return text.replace("\n", "\r\n").encode("utf-8-sig")
        case _:
            del raw[chance.randrange(len(raw)) :]
    return bytes(raw)


def nest(text: str, chance: random.Random) -> str:
    """What is deep, many or long."""
    depth = chance.choice((5, 31, 33, 2_000, 100_000))
    opening = chance.choice(("[", "{a: ", "- ", "if: {not: ", "{all: [", '"', "'", "? ", "!!x ", "&a "))
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    return "\n".join([*lines[:at], lines[at] + opening * depth, *lines[at + 1 :]])


# ── structure ────────────────────────────────────────────────────────────────────────────────────────────────────────
#: Every key of every kind of document.
KEYS = sorted({path.rpartition("/")[2] for kind in KINDS for path, _ in properties(make_schema(kind, Names()))})


def change_structure(text: str, chance: random.Random) -> str:
    """The same documents, with some of their values and keys replaced; JSON is YAML."""
    documents = [plain(each) for each in read_source("x.yml", text.encode(), Problems()).documents]
    for _ in range(chance.choice((1, 1, 2, 4))):
        index = chance.randrange(len(documents))
        documents[index] = changed(documents[index], chance)
    return "\n---\n".join(json.dumps(each, ensure_ascii=chance.random() < 0.5, indent=1) for each in documents)


def changed(data: Data, chance: random.Random) -> Data:
    """The data with one change somewhere inside."""
    if not isinstance(data, dict | list) or not data or chance.random() < 0.15:
        return value(data, chance)
    if isinstance(data, list):
        at = chance.randrange(len(data))
        match chance.randrange(6):
            case 0:
                return data[:at] + data[at + 1 :]
            case 1:
                return data[:at] + [data[at]] * chance.choice((2, 2, 300)) + data[at:]
            case _:
                return [*data[:at], changed(data[at], chance), *data[at + 1 :]]
    key = chance.choice(list(data))
    match chance.randrange(8):
        case 0:
            return {name: each for name, each in data.items() if name != key}
        case 1:
            return {(chance.choice(KEYS) if name == key else name): each for name, each in data.items()}
        case 2:
            return {**data, chance.choice(KEYS): value(data[key], chance)}
        case _:
            return {**data, key: changed(data[key], chance)}


def value(data: Data, chance: random.Random) -> Data:
    match chance.randrange(6):
        case 0:
            return [data]
        case 1:
            return {chance.choice(KEYS): data}
        case 2:
            return change_characters(str(data), chance)
        case _:
            return chance.choice(VALUES)


MUTATIONS: list[Mutate] = [change_characters, change_lines, change_encoding, nest, *[change_structure] * 4]


# ── the test ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with every key and form, and more than one file of each kind."""
    for layer in ("standard", "cases/ok/everything", "cases/ok/careful", "every_key"):
        shutil.copytree(HERE / layer, tmp_path, dirs_exist_ok=True)
    assert found(tmp_path) == []
    return tmp_path


@contextmanager
def holding(path: Path, content: str | bytes) -> Iterator[None]:
    """The file with another content, for a while."""
    before = path.read_bytes()
    # What no encoding can say cannot stand in a file either.
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.timeout(3600)
def test_no_mutation_crashes_the_check_or_keeps_it_busy(project: Path, request: pytest.FixtureRequest) -> None:
    files = sorted(path for path in project.rglob("*") if path.suffix in (".yml", ".yaml", ".html", ".txt"))
    count = request.config.getoption("--mutations", None) or QUICK
    slowest, refused = (0.0, 0), 0
    for seed in range(count):
        chance = random.Random(seed)
        path = chance.choice(files)
        text = path.read_text(encoding="utf-8")
        mutations = MUTATIONS if path.suffix in (".yml", ".yaml") else MUTATIONS[:3]
        with holding(path, chance.choice(mutations)(text, chance)):
            began = time.process_time()
            try:
                problems = found(project)
                format_diagnostics(problems, "text", {each.file: text for each in problems})
            except Exception as crash:
                pytest.fail(f"mutation {seed} of {path.name}: {crash!r}\n{path.read_bytes()[:5000]!r}")
            slowest = max(slowest, (time.process_time() - began, seed))
            refused += bool(problems)
    print(f"{count} mutations, {refused} with problems; the slowest took {slowest[0]:.2f} s (mutation {slowest[1]})")
    assert slowest[0] < LONGEST, f"mutation {slowest[1]} took {slowest[0]:.1f} s"
    # They are no mutations where nothing is ever found to be wrong.
    assert refused > count / 2
