"""Benchmarks still do what they measure: the quick ones run here, small, for nobody runs them every day."""

from __future__ import annotations

import pytest

from tests.bench import check, virtual


def test_the_benchmark_of_check_checks_a_sound_project(capsys: pytest.CaptureFixture[str]) -> None:
    check.main(journeys=2)
    assert "2 journeys" in capsys.readouterr().out


def test_the_benchmark_of_virtual_time_plays_everybody() -> None:
    figures = virtual.main(people=20, people_of_the_machine=20)
    assert figures["driver_enrollments_per_second"] > 0
    assert figures["machine_enrollments_per_second"] > 0
