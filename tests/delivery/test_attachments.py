"""Attachments on their way: from the author's folder to the provider, or not at all."""

from __future__ import annotations

from pathlib import Path

from engine.delivery.message import Attachment
from engine.storage.memory import MemoryStore
from tests.factories import ScriptedProvider, Shop, plan, send


def test_a_message_carries_its_files_and_one_that_cannot_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "templates" / "email").mkdir(parents=True)
    (tmp_path / "templates" / "email" / "hello.html").write_text("---\nsubject: Hi\n---\n<p>Hi</p>")
    (tmp_path / "templates" / "attachments").mkdir()
    (tmp_path / "templates" / "attachments" / "terms.txt").write_text("Be kind.")
    provider = ScriptedProvider("email")
    steps = (send("good", attachments=("terms.txt",)), send("bad", attachments=("nowhere.txt",)))
    shop = Shop(MemoryStore(), plan(*steps), root=tmp_path, providers={"email": provider}).open()
    shop.person(consents=[("email", "news")])
    enrollment = shop.enrolled()
    outcomes = [getattr(shop.perform(enrollment, step.step_id), "outcome", None) for step in steps]
    assert outcomes == ["sent", "render_error"]
    [message] = provider.handed
    assert message.attachments == (Attachment(name="terms.txt", media_type="text/plain", content=b"Be kind."),)
