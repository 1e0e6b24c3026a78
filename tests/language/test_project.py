"""Projects as a whole: loading, secrets, what no input may do."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import NotFound, ProjectError
from engine.language.adapters import AdapterInfo
from engine.language.diagnostics import Problems
from engine.language.project import check_project, load_project
from engine.language.source import plain, read_source
from engine.project import Cap, Channel, QuietHours, Segment, Topic

HERE = Path(__file__).parent
ADAPTERS = {
    name: AdapterInfo(kind=kind, check_settings=lambda settings: [])
    for name, kind in (("smtp", "email"), ("twilio", "sms"), ("vonage", "sms"), ("slack", "chat"), ("inbox", None))
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(HERE / "standard", tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_project_is_what_its_files_say(root: Path) -> None:
    project = load_project(root, {}, ADAPTERS)
    assert (project.name, project.timezone, project.locale, project.root) == ("standard", "Europe/Madrid", "en", root)
    assert project.channels["email"] == Channel(
        name="email",
        use="smtp",
        kind="email",
        from_="Shop <hello@shop.example>",
        rate_per_second=50.0,
        templates="email",
    )
    assert project.channels["sms"].backup == "sms_backup"
    assert project.topics == {
        "cart": Topic(name="cart", title="Cart reminders", channels=("email", "sms")),
        "news": Topic(name="news", title="Newsletter", channels=("email",), double_opt_in=("email",)),
        "orders": Topic(name="orders", title="Order updates", kind="transactional", basis="contract"),
        "desk": Topic(name="desk", title="Our own people", kind="internal", basis="contract"),
    }
    assert project.caps == (Cap(at_most=3, per_seconds=86_400),)
    assert project.quiet_hours == (QuietHours(from_="21:00", to="08:00", channels=("sms", "chat")),)
    assert project.events is not None
    assert project.events["Signed Up"] == {}
    assert project.segments["customers"] == Segment(
        name="customers", title="Has ordered", condition='did("Order Completed")'
    )
    assert list(project.plans) == ["welcome"]


def test_a_project_says_little_and_gets_defaults(tmp_path: Path) -> None:
    (tmp_path / "sojourn.yml").write_text("project: small\n")
    project = load_project(tmp_path, {}, {})
    assert (project.timezone, project.locale, project.events) == ("UTC", "en", None)
    assert project.database == f"sqlite:///{tmp_path}/.sojourn/sojourn.db"


@pytest.mark.parametrize(
    ("written", "environ", "expected"),
    [
        ("${DB:-sqlite:///data/x.db}", {}, "sqlite:///{root}/data/x.db"),
        ("${DB:-sqlite:///data/x.db}", {"DB": "postgresql+psycopg://h/db"}, "postgresql+psycopg://h/db"),
        ("sqlite:////var/x.db", {}, "sqlite:////var/x.db"),
        ("sqlite:///:memory:", {}, "sqlite:///:memory:"),
    ],
)
def test_a_relative_database_lies_in_the_project(
    tmp_path: Path, written: str, environ: dict[str, str], expected: str
) -> None:
    (tmp_path / "sojourn.yml").write_text(f'project: small\ndatabase: "{written}"\n')
    assert load_project(tmp_path, environ, {}).database == expected.replace("{root}", str(tmp_path))


def test_no_project_is_not_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check_project(tmp_path, {}, ADAPTERS)


def test_a_broken_project_does_not_load(root: Path) -> None:
    (root / "journeys" / "broken.yml").write_text("journey: broken\n")
    with pytest.raises(ProjectError) as caught:
        load_project(root, {}, ADAPTERS)
    assert [each.code for each in caught.value.diagnostics] == ["SJ202", "SJ405"]


def test_warnings_do_not_keep_a_project_from_loading(root: Path) -> None:
    (root / "journeys" / "lonely.yml").write_text("journey: lonely\nsteps: [{wait: 1h}]\n")
    assert [each.severity for each in check_project(root, {}, ADAPTERS)] == ["warning"]
    assert "lonely" in load_project(root, {}, ADAPTERS).plans


def test_broken_scenarios_are_said_and_keep_nothing_from_loading(root: Path) -> None:
    (root / "journeys" / "tests").mkdir()
    (root / "journeys" / "tests" / "a.yml").write_text("scenario: [\n")
    assert [(each.code, each.file) for each in check_project(root, {}, ADAPTERS)] == [("SJ001", "journeys/tests/a.yml")]
    assert load_project(root, {}, ADAPTERS).name == "standard"


def test_a_setting_comes_from_the_environment(root: Path) -> None:
    text = (
        (root / "sojourn.yml")
        .read_text()
        .replace("chat:       {use: slack}", 'chat: {use: slack, settings: {token: "${T}"}}')
    )
    (root / "sojourn.yml").write_text(text)
    project = load_project(root, {"T": "xoxb-1"}, ADAPTERS)
    assert project.channels["chat"].settings == {"token": "xoxb-1"}
    assert "xoxb-1" not in repr(project)


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "line",
    [
        "project: ${SECRET}!",
        "timezone: ${SECRET}",
        "locale: ${SECRET} x",
        "database: ${SECRET}",
        "database: mysql://root:${SECRET}@h/db",
        "channels: {email: {use: '${SECRET}'}}",
        "channels: {email: {use: smtp, rate: '${SECRET}', backup: '${SECRET}'}}",
        "channels: {email: {use: smtp, kind: '${SECRET}', settings: '${SECRET}'}}",
        f"channels: {{email: {{use: smtp, settings: {SECRET}}}}}",
        "topics: {news: {kind: '${SECRET}', basis: '${SECRET}', channels: '${SECRET}'}}",
        "caps: ['${SECRET}', {at_most: '${SECRET}', per: '${SECRET}'}]",
        "quiet_hours: [{from: '${SECRET}', to: '${SECRET}'}]",
        "events: {A: {b: '${SECRET}'}}",
        "allowed_hosts: {a: '${SECRET}'}",
        "attributes: '${SECRET}'",
    ],
)
def test_no_message_shows_what_the_environment_held(tmp_path: Path, line: str) -> None:
    name = "" if line.startswith("project") else "project: small\n"
    (tmp_path / "sojourn.yml").write_text(f"{name}{line}\n")
    found = check_project(tmp_path, {"SECRET": SECRET}, ADAPTERS)
    assert found
    assert SECRET not in repr(found)


def everything() -> Any:
    content = (HERE / "cases" / "ok" / "everything" / "journeys" / "case.yml").read_bytes()
    return plain(read_source("case.yml", content, Problems()).documents[0])


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


EVERYTHING = everything()
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, "", "x", "=", "= (", "3d", "09:00", [], [None], ["x"], [[]], {}, {"x": None}, {"if": {}},
    {"all": [{"not": []}]}, {"send": None}, {"wait": {}}, [{"send": {}}], [{"wait_for": []}],
    [{"repeat": {"times": 1}}], [{"branch": [{}]}], [{"split": {"A": {}}}],
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place=st.sampled_from(places(EVERYTHING)[1:]), junk=st.sampled_from(JUNK))
def test_junk_in_any_place_of_a_journey_is_reported_or_taken_and_never_raises(
    root: Path, place: tuple[Any, ...], junk: Any
) -> None:
    data = copy.deepcopy(EVERYTHING)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = junk
    # JSON is YAML.
    (root / "journeys" / "case.yml").write_text(json.dumps(data))
    for found in check_project(root, {}, ADAPTERS):
        assert found.line == 1 or found.file != "journeys/case.yml"
