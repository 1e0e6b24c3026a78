"""`sojourn migrate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.storage.database import Database
from engine.storage.tables import REVISION
from workers.cli.main import run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "sojourn.yml").write_text("project: shop\ntimezone: Europe/Berlin\nlocale: en\n")
    return tmp_path


def test_the_first_run_creates_the_tables_and_the_project_key(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["migrate", "--project", str(project)]) == 0
    written = capsys.readouterr()
    assert written.out.strip().endswith(f"sojourn.db: from nothing to {REVISION}")
    assert written.err.splitlines()[-1] == f"applied {REVISION}"
    assert (project / ".sojourn" / "project.key").exists()
    database = Database(f"sqlite:///{project / '.sojourn' / 'sojourn.db'}")
    assert database.revision() == REVISION
    database.close()
    assert run(["migrate", "--project", str(project)]) == 0
    assert capsys.readouterr().out.strip().endswith(f"sojourn.db is up to date: revision {REVISION}")


def test_a_program_reads_the_revisions_as_json_without_the_password(
    project: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres_url.replace("postgres@", "postgres:s3cret@")
    (project / "sojourn.yml").write_text(f"project: shop\ntimezone: Europe/Berlin\nlocale: en\ndatabase: {url}\n")
    assert run(["migrate", "--project", str(project), "--format", "json"]) == 0
    written = capsys.readouterr()
    answer = json.loads(written.out)
    assert (answer["from"], answer["to"]) == (REVISION, REVISION)
    assert "s3cret" not in written.out + written.err


def test_a_database_that_does_not_answer_is_an_error_that_names_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://ann:s3cret@127.0.0.1:1/shop"
    (project / "sojourn.yml").write_text(f"project: shop\ntimezone: Europe/Berlin\nlocale: en\ndatabase: {url}\n")
    assert run(["migrate", "--project", str(project)]) == 1
    written = capsys.readouterr()
    assert "127.0.0.1:1/shop cannot be reached" in written.err
    assert "s3cret" not in written.out + written.err


def test_a_folder_without_a_project_is_unusable_input(tmp_path: Path) -> None:
    assert run(["migrate", "--project", str(tmp_path)]) == 2
