"""Strict YAML with positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language.diagnostics import Problems
from engine.language.source import MapNode, ScalarNode, Source, find_node, plain, read_source


def read(content: str | bytes) -> tuple[Source, list[tuple[str, int, int]]]:
    problems = Problems()
    source = read_source("a.yml", content.encode() if isinstance(content, str) else content, problems)
    return source, [(each.code, each.line, each.column) for each in problems.sorted()]


def value(written: str) -> Any:
    source, found = read(f"key: {written}\n")
    assert not found
    return plain(source.documents[0])["key"]


@pytest.mark.parametrize(
    "written", ["on", "off", "yes", "NO", "22:30", "012", "2026-03-02", "1_000", "1.2.3", "=", "<<", "0b1", "+"]
)
def test_what_other_readers_would_change_stays_text(written: str) -> None:
    assert value(written) == written


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None),
        ("0", 0), ("-7", -7), ("+3", 3), ("0x1F", 31), ("0o17", 15),
        ("1.50", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-2.", -2.0),
        ('"12"', "12"), ("'true'", "true"), ("+447700900000", 447700900000),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_yaml_1_2(written: str, expected: object) -> None:
    found = value(written)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", [("SJ009", 3, 1)]),
        ("a: {b: 1, b: 2, b: 3}\n", [("SJ009", 1, 11), ("SJ009", 1, 17)]),
        ("a: &x 1\nb: *x\n", [("SJ008", 1, 4), ("SJ008", 2, 4)]),
        ("a: !!str 1\n", [("SJ007", 1, 4)]),
        ("a: ! 1\n", [("SJ007", 1, 4)]),
        ("1: a\n", [("SJ010", 1, 1)]),
        ("true: a\nnull: b\n", [("SJ010", 1, 1), ("SJ010", 2, 1)]),
        ("? [a]\n: b\n", [("SJ010", 1, 3)]),
        ("a:\n\tb: 1\n", [("SJ004", 2, 1)]),
        ("a: b: c\n", [("SJ001", 1, 5)]),
        ("a: [1, 2\nb: 3\n", [("SJ001", 2, 2)]),
        ("a: @x\n", [("SJ001", 1, 4)]),
        ("a: x\x00y\n", [("SJ003", 1, 5)]),
        ("a: b\nc: x\u2028y\n", [("SJ003", 2, 5)]),
        (b"a: b\nc: \xff\n", [("SJ002", 2, 4)]),
        ("a: .inf\n", [("SJ011", 1, 4)]),
        ("a: 1e999\n", [("SJ011", 1, 4)]),
        ("a: " + "9" * 5000 + "\n", [("SJ011", 1, 4)]),
        ("[" * 40 + "]" * 40, [("SJ006", 1, 33)]),
        ("a: " + "x" * (1024 * 1024) + "\n", [("SJ005", 1, 1)]),
        ("%YAML 3.0\n---\na: 1\n", [("SJ001", 1, 1)]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(content: str | bytes, expected: list[tuple[str, int, int]]) -> None:
    assert read(content)[1] == expected


def test_a_duplicate_key_names_both_places() -> None:
    problems = Problems()
    read_source("a.yml", b"a: 1\nb: 2\na: 3\n", problems)
    (found,) = problems.sorted()
    assert [(each.line, each.column) for each in found.related] == [(1, 1)]


def test_aliases_do_not_expand() -> None:
    """341 bytes that would become five million nodes elsewhere."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 7)]
    source, found = read("\n".join(levels))
    assert len(found) == 67
    assert isinstance(source.documents[0], MapNode)


def test_documents_are_limited_one_by_one() -> None:
    document = "a: " + "x" * 600_000 + "\n"
    source, found = read(f"{document}---\n{document}")
    assert (len(source.documents), found) == (2, [])


def test_several_documents_and_empty_ones() -> None:
    source, found = read("# nothing\n---\na: 1\n---\n---\nb: 2\n")
    assert ([plain(each) for each in source.documents], found) == ([{"a": 1}, {"b": 2}], [])


def test_what_stands_before_a_fault_is_kept() -> None:
    source, found = read("a: 1\n---\nb: [\n")
    assert ([plain(each) for each in source.documents], found) == ([{"a": 1}], [("SJ001", 4, 1)])


def test_a_byte_order_mark_and_windows_lines_do_not_move_places() -> None:
    source, _ = read(b"\xef\xbb\xbfa: b\r\nc: d\r\n")
    node = find_node(source.documents[0], ["c"])
    assert isinstance(node, ScalarNode)
    assert (node.line, node.column, node.value) == (2, 4, "d")


def test_a_node_is_found_by_its_path() -> None:
    source, _ = read("steps:\n  - wait: 1h\n  - {send: email, if: ü > 1}\n")
    node = find_node(source.documents[0], ["steps", 1, "if"])
    assert isinstance(node, ScalarNode)
    assert (node.value, node.line, node.column) == ("ü > 1", 3, 23)
    assert find_node(source.documents[0], ["steps", 2]) is None
    assert find_node(source.documents[0], ["steps", 0, "wait", "for"]) is None


@pytest.mark.parametrize(
    ("written", "offset", "column"),
    [
        ("abc", 2, 6),
        ("'abc'", 2, 7),
        ("'it''s so'", 4, 10),
        (r'"a\nb"', 2, 8),
        (r'"\x41\u00e9z"', 2, 15),
        (r'"say \"x\""', 6, 12),
        ("|\n  abc\n", 2, 4),
    ],
)
def test_a_character_inside_a_value_has_its_own_place(written: str, offset: int, column: int) -> None:
    source, _ = read(f"a: {written}\n")
    node = find_node(source.documents[0], ["a"])
    assert isinstance(node, ScalarNode)
    assert node.place(offset).column == column


@given(st.binary(max_size=40) | st.text("ab:-[]{}&*!|>'\"%@`#?, \n\t\r0.~é\x00", max_size=40).map(str.encode))
def test_no_input_raises(content: bytes) -> None:
    source, found = read(content)
    for document in source.documents:
        plain(document)
    lines = content.count(b"\n") + content.count(b"\r") + 2
    assert all(0 < line <= lines and column > 0 for _, line, column in found)


def test_only_the_source_reads_yaml(pytestconfig: pytest.Config) -> None:
    root = Path(str(pytestconfig.rootpath)) / "engine" / "language"
    importers = [path.name for path in sorted(root.rglob("*.py")) if "import yaml" in path.read_text()]
    assert importers == ["source.py"]
