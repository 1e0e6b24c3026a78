"""Every mail that the demo sends, and every page that we serve to people, as html-validate reads them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from engine.profiles.model import Profile
from engine.project import Channel, Project
from engine.rendering import links
from engine.rendering.renderer import Renderer
from engine.store import LinkRecord
from tests.demo_mails import demo_mails, file_name
from tests.npm import install
from tests.waiting import PATIENCE
from tests.web.conftest import KEY, NOW, Shop

PINNED = Path(__file__).parent / "html_validate"
#: Rules of pages that are wrong for mails: styles stand on the elements, where mail programs look for them, Outlook has
#: comments of its own, and the inliner writes tags its own way.
MAIL = {"no-inline-style": "off", "no-conditional-comment": "off", "doctype-style": "off", "void-style": "off"}
#: How `<!doctype html>` is written is a matter of taste; boxes that are answers to one question share its name.
PAGE = {
    "doctype-style": "off",
    "form-dup-name": ["error", {"shared": ["radio", "button", "reset", "submit", "checkbox"]}],
}


def complaints(folder: Path, pages: Mapping[str, str], rules: Mapping[str, object]) -> list[str]:
    """What html-validate says of the pages: file, line, rule and sentence."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    config = {"root": True, "extends": ["html-validate:recommended"], "rules": rules}
    (folder / ".htmlvalidate.json").write_text(json.dumps(config))
    program = install(PINNED) / "html-validate" / "bin" / "html-validate.mjs"
    # Into a file: what is too long for a pipe it does not write to its end.
    command = ["node", str(program), "--formatter", "json=said.json", *(f"{name}.html" for name in pages)]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    found = json.loads((folder / "said.json").read_text())
    assert answer.returncode == int(bool(found)), answer.stderr
    return [
        f"{Path(file['filePath']).name}:{said['line']}: {said['ruleId']}: {said['message']}"
        for file in found
        for said in file["messages"]
    ]


def test_the_validator_sees_what_is_wrong(tmp_path: Path) -> None:
    broken = "<!doctype html><html lang='en'><head><title>x</title></head><body><p><div>a</p><img></body></html>"
    assert any("img" in said for said in complaints(tmp_path, {"broken": broken}, MAIL))


def test_every_mail_of_the_demo_is_valid(tmp_path: Path) -> None:
    mails = {file_name(message): message.html or "" for message in demo_mails()}
    assert len(mails) >= 12
    assert complaints(tmp_path, mails, MAIL) == []


def test_a_mail_without_a_layout_and_our_own_confirmation_are_valid(tmp_path: Path) -> None:
    note = tmp_path / "templates" / "email" / "note.html"
    note.parent.mkdir(parents=True)
    note.write_text("---\nsubject: A & B\npreheader: Hello\n---\n<h1>Hello</h1><p>A &amp; B</p>")
    project = Project(name="shop", root=tmp_path, timezone="Europe/Madrid", locale="en", database="")
    channel = Channel(name="email", use="smtp", kind="email")
    scope = {"topic_title": "News", "links": {"confirm": "https://s.example/c/1"}, "project": {"name": "shop"}}
    renderer = Renderer(project)
    pages = {name: renderer.render(channel, name, "en", scope).html or "" for name in ("note", "system/confirm")}
    pages["confirm"] = pages.pop("system/confirm")
    assert complaints(tmp_path / "checked", pages, MAIL) == []


@pytest.fixture
def ana(shop: Shop) -> Profile:
    with shop.store.transaction() as unit:
        profile = shop.engine.intake.ensure(unit, "external", "ana", NOW)
        values = {"email": "ana@example.com", "phone": "+34600111222", "name": "Ana <b>"}
        return shop.engine.intake.set_attributes(unit, profile, values, NOW)


def token(shop: Shop, profile: Profile, kind: links.LinkKind, *, is_old: bool = False) -> str:
    made = links.token(KEY, kind, "d1", str(is_old))
    with shop.store.transaction() as unit:
        unit.access.add_links(
            [
                LinkRecord(
                    token_hash=links.token_hash(made), kind=kind, profile_id=profile.profile_id, delivery_id=None,
                    channel="email", topic="news", address_hash=None, url=None, created_at=NOW,
                    expires_at=NOW - timedelta(hours=1) if is_old else None,
                )
            ]
        )  # fmt: skip
    return made


def test_every_page_that_a_person_can_come_to_is_valid(
    shop: Shop, ana: Profile, stranger: httpx.Client, tmp_path: Path
) -> None:
    unsubscribe, confirm = token(shop, ana, "unsubscribe"), token(shop, ana, "confirm")
    preferences = token(shop, ana, "preferences")
    answers = {
        "preferences": stranger.get(f"/p/{preferences}"),
        "preferences-saved": stranger.post(f"/p/{preferences}", data={"do": "save", "want": "cart|email"}),
        "unsubscribe": stranger.get(f"/u/{unsubscribe}"),
        "unsubscribed": stranger.post(f"/u/{unsubscribe}"),
        "confirm": stranger.get(f"/c/{confirm}"),
        "confirmed": stranger.post(f"/c/{confirm}"),
        "expired": stranger.get(f"/c/{token(shop, ana, 'confirm', is_old=True)}"),
        "not-found": stranger.get("/u/nothing"),
        "not-understood": stranger.post(f"/p/{preferences}", data={"do": "dance"}),
    }
    assert {name for name, answer in answers.items() if answer.status_code != 200} == {
        "expired", "not-found", "not-understood"
    }  # fmt: skip
    pages = {name: answer.text for name, answer in answers.items()}
    assert all(re.match("<!doctype html>", page) for page in pages.values())
    assert complaints(tmp_path, pages, PAGE) == []


def test_the_page_of_a_test_message_is_valid(shop: Shop, ana: Profile, stranger: httpx.Client, tmp_path: Path) -> None:
    shop.engine.rehearsal.send_test(
        "cart", "reminder", profile_id=ana.profile_id, to="me@shop.example", actor="eva", now=NOW
    )
    [path] = re.findall(r'href="http://127.0.0.1(/u/[^"]+)"', shop.inbox.messages()[0].html or "")
    assert complaints(tmp_path, {"test": stranger.get(path).text}, PAGE) == []
