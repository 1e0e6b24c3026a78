"""`sojourn check` on 500 journeys that use the whole language, against the bare YAML parser reading the same files."""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from engine.language.adapters import AdapterInfo
from engine.language.project import compile_project
from engine.project import ChannelKind

JOURNEYS, ROUNDS = 500, 3
#: The project and the journey of the golden cases: every key, and every form of it.
_LANGUAGE = Path(__file__).parents[1] / "language"
_KINDS: dict[str, ChannelKind | None] = {"smtp": "email", "twilio": "sms", "vonage": "sms", "slack": "chat"}
_ADAPTERS = {
    name: AdapterInfo(kind=kind, check_settings=lambda settings: [], has_attachments=kind == "email")
    for name, kind in _KINDS.items()
}
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def main(journeys: int = JOURNEYS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _fill(root, journeys)
        files = sorted(root.rglob("*.yml"))
        lines = sum(path.read_text().count("\n") for path in files)

        def check() -> None:
            project, found = compile_project(root, {}, _ADAPTERS)
            assert project is not None, found[:3]
            assert len(project.plans) == journeys + 1
            assert found == []

        def compose() -> None:
            for path in files:
                assert list(yaml.compose_all(path.read_text(), Loader=_LOADER))

        checked, composed = _median(check), _median(compose)
        print(
            f"{journeys} journeys, {lines:,} lines: check {checked:.2f} s, YAML alone {composed:.2f} s "
            f"(x{checked / composed:.1f})"
        )


def _fill(root: Path, journeys: int) -> None:
    for layer in ("standard", "cases/ok/everything"):
        shutil.copytree(_LANGUAGE / layer, root, dirs_exist_ok=True)
    journey = root / "journeys" / "case.yml"
    text = journey.read_text()
    journey.unlink()
    for number in range(1, journeys + 1):
        # Each with numbers of its own: no expression is read for two journeys.
        own = re.sub(r"(?<=total )(>=?) (\d+)", rf"\1 {number}\2", text).replace("everything", f"everything_{number}")
        (root / "journeys" / f"everything_{number}.yml").write_text(own)


def _median(run: Callable[[], object]) -> float:
    def once() -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    return statistics.median(once() for _ in range(ROUNDS))
