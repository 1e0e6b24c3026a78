"""Attachments: only files of their folder, of kinds that may be sent, in the reader's language."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import RenderError
from engine.rendering.attachments import MOST_BYTES, Attachments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates" / "attachments"
    (made / "guides").mkdir(parents=True)
    (made / "terms.pdf").write_bytes(b"%PDF terms")
    (made / "guides" / "brewing.pdf").write_bytes(b"%PDF brewing")
    (made / "guides" / "brewing.es.pdf").write_bytes(b"%PDF preparar")
    (tmp_path / "secret.txt").write_text("not yours")
    return made


def test_files_come_in_the_readers_language_under_one_name(tmp_path: Path, folder: Path) -> None:
    files = Attachments(tmp_path)
    [terms, spanish] = files.load(["terms.pdf", "guides/brewing.pdf"], ("es", "en"))
    [english] = files.load(["guides/brewing.pdf"], ("en",))
    assert (terms.name, terms.media_type, terms.content) == ("terms.pdf", "application/pdf", b"%PDF terms")
    assert (spanish.name, spanish.content) == ("brewing.pdf", b"%PDF preparar")
    assert (english.name, english.content) == ("brewing.pdf", b"%PDF brewing")


@pytest.mark.parametrize(
    ("locales", "expected"),
    [
        (("es-MX", "en"), b"%PDF preparar"),
        (("ES_mx", "en"), b"%PDF preparar"),
        (("pt-br", "en"), b"%PDF coar"),
        (("pt", "en"), b"%PDF brewing"),
        (("de", "es-ES"), b"%PDF preparar"),
        (("", "en"), b"%PDF brewing"),
    ],
)
def test_a_language_widens_as_it_does_for_templates(
    tmp_path: Path, folder: Path, locales: tuple[str, ...], expected: bytes
) -> None:
    (folder / "guides" / "brewing.pt-BR.pdf").write_bytes(b"%PDF coar")
    [file] = Attachments(tmp_path).load(["guides/brewing.pdf"], locales)
    assert (file.name, file.content) == ("brewing.pdf", expected)


@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/passwd.txt", "link.txt", "nowhere.pdf", "guides/"])
def test_nothing_outside_the_folder_is_ever_sent(tmp_path: Path, folder: Path, name: str) -> None:
    os.symlink(tmp_path / "secret.txt", folder / "link.txt")
    with pytest.raises(RenderError, match="the attachment"):
        Attachments(tmp_path).load([name], ())


@pytest.mark.parametrize("name", ["setup.exe", "page.html", "run.js", "noending", "macro.docm"])
def test_what_could_run_on_a_readers_machine_is_not_sent(tmp_path: Path, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")
    found = Attachments(tmp_path).problem([name])
    assert found is not None
    assert "of no kind that is sent" in found[1]


def test_all_files_of_a_message_together_have_a_limit_whatever_the_language(tmp_path: Path, folder: Path) -> None:
    (folder / "big.pdf").write_bytes(bytes(MOST_BYTES // 2))
    (folder / "big.es.pdf").write_bytes(bytes(MOST_BYTES))
    (folder / "rest.pdf").write_bytes(b"x")
    files = Attachments(tmp_path)
    assert files.problem(["big.pdf"]) is None
    assert (files.problem(["big.pdf", "rest.pdf"]) or ("",))[0] == "rest.pdf"
    assert (files.problem(["terms.pdf"] * 11) or ("", ""))[1].startswith("is one too many")
