"""Exports: JSON lines and CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json

import pytest

from engine.insight.exports import csv_lines, json_lines


@pytest.mark.parametrize(
    "text", ["=1+1", "+34600111222", "-2", "@SUM(A1)", "\t=1", "\r=1", "  =1", "=cmd|' /C calc'!A0"]
)
def test_text_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    written = "".join(csv_lines(("name", "a"), [{"name": text, "a": 1}]))
    assert list(csv.reader(io.StringIO(written, newline=""))) == [["name", "a"], [f"'{text}", "1"]]


def test_plain_values_numbers_and_nested_ones_stay_what_they_are() -> None:
    row = {"text": 'a, "b"\nc', "number": -3, "none": None, "nested": {"x": ["ü"]}}
    written = "".join(csv_lines(tuple(row), [row]))
    assert list(csv.reader(io.StringIO(written, newline="")))[1] == ['a, "b"\nc', "-3", "", '{"x": ["ü"]}']


def test_json_lines_hold_one_object_each() -> None:
    rows = [{"a": "x\ny"}, {"a": None}]
    assert [json.loads(line) for line in "".join(json_lines(rows)).splitlines()] == rows
