"""Settings come from the environment; the project's key is made once and never replaced."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine.errors import BadInput, Conflict
from workers.settings import Settings, load_project_key, write_secret


def test_keys_and_the_public_url_are_read_from_the_environment() -> None:
    environ = {"SOJOURN_PROJECT_KEY": "ab" * 32, "SOJOURN_PUBLIC_URL": "https://mail.shop.example/"}
    assert Settings.read(environ) == Settings(project_key=b"\xab" * 32, public_url="https://mail.shop.example")
    assert Settings.read({}) == Settings()


@pytest.mark.parametrize("value", ["abc", "zz" * 32, "ab" * 31, "secret-word"])
def test_a_key_that_is_none_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(BadInput, match="SOJOURN_PROJECT_KEY must be 64 hex digits") as refusal:
        Settings.read({"SOJOURN_PROJECT_KEY": value})
    assert value not in str(refusal.value)


def test_a_public_url_must_be_one() -> None:
    with pytest.raises(BadInput, match="SOJOURN_PUBLIC_URL must begin with https://"):
        Settings.read({"SOJOURN_PUBLIC_URL": "shop.example"})


def test_no_key_is_part_of_repr() -> None:
    assert "ab" not in repr(Settings(project_key=b"\xab" * 32, payload_key=b"\xab" * 32))


def test_a_new_project_is_given_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    key = load_project_key(tmp_path, Settings(), is_new=True)
    path = tmp_path / ".sojourn" / "project.key"
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_project_key(tmp_path, Settings(), is_new=False) == key


def test_a_lost_key_is_not_replaced_while_people_are_in_the_store(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match=r"project\.key is missing"):
        load_project_key(tmp_path, Settings(), is_new=False)
    assert not (tmp_path / ".sojourn").exists()


def test_the_environment_s_key_goes_before_the_file_s(tmp_path: Path) -> None:
    load_project_key(tmp_path, Settings(), is_new=True)
    assert load_project_key(tmp_path, Settings(project_key=bytes(32)), is_new=False) == bytes(32)


def test_of_two_secrets_the_first_stays(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", "one")
    write_secret(tmp_path / "key", "two")
    assert (tmp_path / "key").read_text() == "one\n"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
