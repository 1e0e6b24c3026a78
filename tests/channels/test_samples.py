"""The samples of docs/channels.md: each is a `sojourn.yml` that `sojourn check` accepts, and every adapter has one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from channels.catalog import adapter_rows
from channels.registry import adapter_infos, open_adapters
from engine.language.project import check_project, load_project
from tests.channels.pages import PAGE
from tests.channels.test_sendgrid import public_key

_HEAD = "project: shop\ntimezone: Europe/Madrid\nlocale: en\n\ntopics:\n  offers: {kind: marketing}\n\n"
SAMPLES: list[str] = re.findall(r"```yaml\n(channels:\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


class Environment(dict[str, str]):
    """Every variable is set: to what one of its name must look like, or to anything."""

    def __init__(self) -> None:
        super().__init__({"SENDGRID_VERIFICATION_KEY": public_key("sample")})

    def get(self, name: str, default: str | None = None) -> str:  # type: ignore[override]
        anything = "https://shop.example/secret" if name.endswith("_URL") else f"value-of-{name}"
        return super().get(name, anything)


def used(sample: str) -> set[str]:
    return set(re.findall(r"use: (\w+)", sample))


@pytest.mark.parametrize("sample", SAMPLES, ids=["-".join(sorted(used(sample))) for sample in SAMPLES])
def test_a_sample_passes_the_check_and_opens(sample: str, tmp_path: Path) -> None:
    (tmp_path / "sojourn.yml").write_text(_HEAD + sample, encoding="utf-8")
    assert [str(problem) for problem in check_project(tmp_path, Environment(), adapter_infos())] == []
    opened = open_adapters(load_project(tmp_path, Environment(), adapter_infos()))
    for adapter in opened.values():
        adapter.close()
    assert {adapter.name for adapter in opened.values()} == used(sample)


def test_every_adapter_has_a_sample() -> None:
    shown: Mapping[str, list[str]] = defaultdict(list)
    for sample in SAMPLES:
        for name in used(sample):
            shown[name].append(sample)
    assert [row.name for row in adapter_rows() if row.package == "sojourn" and row.name not in shown] == []


def test_every_secret_of_a_sample_comes_from_the_environment() -> None:
    secrets = {setting.name for row in adapter_rows() for setting in row.settings if setting.is_secret}
    for sample in SAMPLES:
        for name, value in re.findall(r'(\w+): ("[^"]*"|[^,}\s]+)', sample):
            assert name not in secrets or value.startswith('"${'), f"{name} in {used(sample)}"
