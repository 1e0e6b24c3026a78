"""`sojourn preview`: a message as one person would get it, before anybody does."""

from __future__ import annotations

import json
import webbrowser
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.project import ProjectFolder, open_installation, open_project
from workers.cli.why import Form

if TYPE_CHECKING:
    from engine.enrollment.rehearsal import Preview

#: Bytes of a page beyond which Gmail cuts it off, and the links by which people unsubscribe with it.
_CLIPPED_AT = 102 * 1024


def register(app: typer.Typer) -> None:
    app.command("preview")(preview)


def preview(
    template: Annotated[str, typer.Argument(help="Its name, without folder, locale and ending: `cart/reminder`.")],
    profile: Annotated[
        str | None,
        typer.Option("--profile", help="For this person. Default: somebody made up, and no store is needed."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Default: the first of the step that sends it.")
    ] = None,
    locale: Annotated[str | None, typer.Option("--locale", help="In this language. Default: the person's.")] = None,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Shows a message as a person would get it: subject, page and text, its size, and the parts of an SMS."""
    shown = _preview(template, profile, channel, locale, project)
    file = _write(shown, template, locale, project)
    told = _told(shown, template, profile, file)
    typer.echo(json.dumps(told, ensure_ascii=False, indent=2) if form == "json" else _as_text(told))
    if is_opened and file is not None:
        webbrowser.open(file.resolve().as_uri())


def _preview(template: str, profile: str | None, channel: str | None, locale: str | None, folder: Path) -> Preview:
    from engine.insight import people
    from workers.clock import system_now

    if profile is not None:
        with open_installation(folder) as installation, installation.store.transaction() as unit:
            person = people.find(unit, installation.project_key, profile)
            now = installation.clock()
            return installation.engine.rehearsal.preview(
                unit, template, person, channel=channel, locale=locale, now=now
            )
    from channels.calls import HttpCaller
    from engine.assembly import Engine
    from engine.storage.memory import MemoryStore
    from workers.bootstrap import LOCAL_URL

    store = MemoryStore()
    with closing(HttpCaller()) as caller, store.transaction() as unit:
        engine = Engine(
            project=open_project(folder),
            store=store,
            adapters={},
            caller=caller,
            project_key=b"nobody's",
            public_url=LOCAL_URL,
            clock=system_now,
        )
        person = engine.rehearsal.sample(unit, template, locale, engine.clock())
        return engine.rehearsal.preview(unit, template, person, channel=channel, locale=locale, now=engine.clock())


def _write(shown: Preview, template: str, locale: str | None, folder: Path) -> Path | None:
    """The page as a file, for a browser; None where the message has none."""
    if shown.message.html is None:
        return None
    name = template.replace("/", "-") + (f".{locale}" if locale else "") + ".html"
    file = folder / ".sojourn" / "preview" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(shown.message.html, encoding="utf-8")
    return file


def _told(shown: Preview, template: str, profile: str | None, file: Path | None) -> dict[str, Any]:
    from engine.rendering.sms_parts import sms_size

    message = shown.message
    told: dict[str, Any] = {
        "template": template,
        "profile": profile,
        "source": f"templates/{shown.rendered.source}",
        "journey": shown.journey,
        "step": shown.step_id,
        "channel": shown.channel.name,
        "to": message.to,
        "from": message.from_,
        "subject": message.subject,
        "preheader": shown.rendered.preheader,
        "text": message.text,
        "attachments": [attachment.name for attachment in message.attachments],
        "headers": dict(message.headers),
    }
    if message.html is not None:
        weight = len(message.html.encode())
        told |= {"html": message.html, "file": str(file), "bytes": weight, "is_clipped": weight > _CLIPPED_AT}
    if message.blocks:
        told["blocks"] = list(message.blocks)
    if message.kind == "sms":
        size = sms_size(message.text)
        told |= {"parts": size.parts, "encoding": size.encoding, "characters": len(message.text)}
    return told


def _as_text(told: dict[str, Any]) -> str:
    sent_by = f"{told['journey']} · {told['step']}" if told["journey"] else "no journey"
    rows = [("Template", told["source"]), ("Sent by", f"{sent_by}, on {told['channel']}")]
    rows.append(("For", told["profile"] or "somebody made up (--profile PERSON shows it as theirs)"))
    rows += [(name.title(), told[name]) for name in ("from", "to", "subject", "preheader") if told[name]]
    if told["attachments"]:
        rows.append(("Files", ", ".join(told["attachments"])))
    if "bytes" in told:
        rows.append(("Page", f"{told['file']}, {told['bytes'] / 1024:.1f} KB"))
    if "parts" in told:
        parts = f"{told['parts']} part{'s' if told['parts'] > 1 else ''}"
        rows.append(("Size", f"{parts}, {told['characters']} characters ({told['encoding']})"))
    lines = [f"{name:<10} {value}" for name, value in rows]
    if told.get("is_clipped"):
        lines.append("Warning: Gmail cuts pages off at 102 KB, and the link to unsubscribe with them.")
    if "blocks" in told:
        lines += ["", json.dumps(told["blocks"], ensure_ascii=False, indent=2)]
    return "\n".join([*lines, "", told["text"]])
