"""Messages from templates: found by channel and locale, rendered in the sandbox, whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import FunctionLoader, meta
from jinja2.environment import Template
from markupsafe import Markup

from engine.errors import RenderError
from engine.language.source import ListNode, MapNode, Node, ScalarNode
from engine.project import Channel, Project
from engine.rendering.document import check_links, in_skeleton, is_whole, with_inlined_styles, with_preheader
from engine.rendering.faults import faults
from engine.rendering.filters import FILTERS
from engine.rendering.library import PAGES, Library, TemplateFile
from engine.rendering.mjml import to_html
from engine.rendering.plain_text import text_of
from engine.rendering.sandbox import MAX_OUTPUT, Sandbox, TooMuch, located, rendering
from engine.rendering.scope import plain_scope
from engine.rendering.tracking import Lead, track_links, track_text

#: What would end a header's line, for some reader or other.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_UNBROKEN = re.compile("[\u00a0\u202f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A message's content for one person."""

    subject: str | None = field(default=None, repr=False)
    preheader: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    text: str = field(repr=False)
    from_: str | None = None
    #: Chat blocks, as the provider takes them.
    blocks: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    #: The file that it came from, relative to `templates/`.
    source: str
    #: SHA-256 over that file and all that it includes.
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compiled:
    path: str
    #: Of the text, not of the reader.
    locale: str
    digest: str
    is_mjml: bool
    body: Template
    #: The text twin, or None: derived.
    twin: Template | None
    #: The project's own layout, or None.
    layout: Template | None
    #: Front matter by key.
    texts: Mapping[str, Template]
    #: Front matter's blocks; each text in them is a compiled template.
    blocks: list[Any]


class _Desk:
    """The two environments of one chain of locales: includes, too, come in the reader's language."""

    def __init__(self, library: Library, locales: tuple[str, ...]) -> None:
        def load(name: str) -> tuple[str, str, None] | None:
            file = library.find_partial(name, locales)
            return (located(file.parts.body, file.parts.body_line), file.path, None) if file else None

        self.html = Sandbox(FunctionLoader(load), FILTERS, is_html=True)
        self.text = Sandbox(FunctionLoader(load), FILTERS, is_html=False)


class Renderer:
    """Renders a project's templates; one instance serves all threads.

    The files are read when it is made: a template changed afterwards counts from the next start.
    """

    def __init__(self, project: Project, *, keeps_bodies: bool = True) -> None:
        """Without `keeps_bodies` a message is rendered, so that what cannot be is found, and its body is dropped: for
        counting many that nobody will read."""
        self._locale = project.locale
        self._keeps_bodies = keeps_bodies
        self._library = Library(project.root)
        self._desks: dict[tuple[str, ...], _Desk] = {}
        self._compiled: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], _Compiled] = {}

    def has(self, channel: Channel, template: str) -> bool:
        """Whether there is a template of this name for the channel, in any language."""
        extensions = PAGES if channel.kind == "email" else ("txt",)
        files = self._library.variants(channel.templates or channel.name, template)
        return any(file.extension in extensions for file in files)

    def digest(self, channel: Channel, template: str, locale: str) -> str:
        """SHA-256 over the template that this reader would get and all that it includes. Raises `RenderError`."""
        return self._find(channel, template, locale).digest

    def render(
        self, channel: Channel, template: str, locale: str, scope: Mapping[str, Any], lead: Lead | None = None
    ) -> Rendered:
        """The message for one person; `scope` holds plain values by name. Raises `RenderError`.

        `lead` makes of the target of every link in a mail or a text message the one that it carries.
        """
        compiled = self._find(channel, template, locale)
        with faults(compiled.path), rendering(compiled.locale):
            values = {"locale": compiled.locale, **plain_scope(scope)}
            texts = {key: _render(each, values) for key, each in compiled.texts.items()}
            subject = _one_line(compiled.path, "subject", texts.get("subject", ""))
            from_ = _one_line(compiled.path, "from", texts.get("from", ""))
            preheader = " ".join(texts.get("preheader", "").split())
            html = None
            if channel.kind == "email":
                if not subject:
                    raise RenderError(f"templates/{compiled.path}: an email needs a `subject` in its front matter")
                html, text = self._page(compiled, {**values, "subject": subject, "preheader": preheader}, lead)
            else:
                text = _render(compiled.body, values).strip()
                if channel.kind == "sms":
                    # One space that does not break would make the whole message UCS-2, of less than half the length.
                    text = _UNBROKEN.sub(" ", text)
                    text = track_text(text, lead) if lead else text
            blocks = tuple(_rendered_blocks(compiled.blocks, values))
        if not text and not blocks:
            raise RenderError(f"templates/{compiled.path}: the message has no text")
        return Rendered(
            subject=subject or None,
            preheader=preheader or None,
            html=html if self._keeps_bodies else None,
            text=text if self._keeps_bodies else "",
            from_=from_ or None,
            blocks=blocks,
            source=compiled.path,
            digest=compiled.digest,
        )

    def _page(self, compiled: _Compiled, values: dict[str, Any], lead: Lead | None) -> tuple[str, str]:
        """The HTML as it is mailed, and its text twin."""
        html = _render(compiled.body, values)
        if compiled.is_mjml:
            html = to_html(html, values["locale"])
        if not is_whole(html):
            if compiled.layout:
                html = _render(compiled.layout, {**values, "content": Markup(html)})
            else:
                html = in_skeleton(html, subject=values["subject"], locale=values["locale"])
        check_links(html)
        if not self._keeps_bodies:
            return html, _render(compiled.twin, values).strip() if compiled.twin else html
        html = track_links(html, lead) if lead else html
        if compiled.twin:
            text = _render(compiled.twin, values).strip()
            text = track_text(text, lead) if lead else text
        else:
            text = text_of(html)
        if values["preheader"]:
            html = with_preheader(html, values["preheader"])
        html = with_inlined_styles(html)
        if len(html) > MAX_OUTPUT:
            raise TooMuch
        return html, text

    def _find(self, channel: Channel, template: str, locale: str) -> _Compiled:
        folder = channel.templates or channel.name
        extensions = PAGES if channel.kind == "email" else ("txt",)
        locales = self._library.locales(locale, self._locale)
        key = (folder, template, extensions, locales)
        known = self._compiled.get(key)
        if known is None:
            known = self._compiled[key] = self._compile(*key)
        return known

    def _compile(self, folder: str, template: str, extensions: tuple[str, ...], locales: tuple[str, ...]) -> _Compiled:
        file = self._library.find(folder, template, extensions, locales)
        if file is None:
            raise RenderError(f"templates/{folder}/: no such template for this locale; `sojourn check` names it")
        is_page = file.is_page
        # A twin in another language than its page would be worse than none.
        twin = self._library.find(folder, template, ("txt",), (file.locale,)) if is_page else None
        layout = self._library.find_layout(locales) if file.extension == "html" else None
        files = [each for each in (file, twin, layout) if each]
        for each in files:
            for problem in each.problems:
                raise RenderError(f"templates/{problem.file}, line {problem.line}: {problem.message}")
        desk = self._desks.get(locales) or self._desks.setdefault(locales, _Desk(self._library, locales))
        with faults(file.path):
            return _Compiled(
                path=file.path,
                locale=file.locale or self._locale,
                digest=self._digest(desk.text, files, locales),
                is_mjml=file.extension == "mjml",
                body=_compile_body(desk.html if is_page else desk.text, file),
                twin=_compile_body(desk.text, twin) if twin else None,
                layout=_compile_body(desk.html, layout) if layout else None,
                texts={key: _compile_text(desk.text, node) for key, node in file.parts.texts.items()},
                blocks=_compile_blocks(desk.html, file.parts.blocks) if file.parts.blocks else [],
            )

    def _digest(self, sandbox: Sandbox, files: list[TemplateFile], locales: tuple[str, ...]) -> str:
        reached: dict[str, str] = {}
        waiting = list(files)
        while waiting:
            file = waiting.pop()
            if file.path not in reached:
                reached[file.path] = file.text
                names = meta.find_referenced_templates(sandbox.parse(file.parts.body, filename=file.path))
                found = (self._library.find_partial(name, locales) for name in names if name)
                waiting.extend(each for each in found if each)
        listed = "".join(f"{path}\x00{len(text)}\x00{text}" for path, text in sorted(reached.items()))
        return hashlib.sha256(listed.encode()).hexdigest()


# ── compiling ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _compile_body(sandbox: Sandbox, file: TemplateFile) -> Template:
    return _compile(sandbox, file.parts.body, file.path, file.parts.body_line)


def _compile_text(sandbox: Sandbox, node: ScalarNode) -> Template:
    return _compile(sandbox, str(node.value), node.file, node.line)


def _compile(sandbox: Sandbox, text: str, path: str, line: int) -> Template:
    code = sandbox.compile(located(text, line), name=path, filename=path)
    # A dict of its own: the chain of maps that Jinja2 makes is copied at a high price in every rendering.
    return Template.from_code(sandbox, code, dict(sandbox.make_globals(None)))


def _compile_blocks(sandbox: Sandbox, node: Node) -> Any:
    match node:
        case ListNode():
            return [_compile_blocks(sandbox, item) for item in node.items]
        case MapNode():
            return {key: _compile_blocks(sandbox, pair.value) for key, pair in node.pairs.items()}
        case ScalarNode(value=str()):
            return _compile_text(sandbox, node)
        case ScalarNode():
            return node.value


# ── rendering ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _render(template: Template, values: dict[str, Any]) -> str:
    # Not `template.render`: it rewrites tracebacks, which costs more than a message.
    context = template.new_context(values)
    return template.environment.concat(template.root_render_func(context))


def _one_line(path: str, key: str, text: str) -> str:
    text = text.strip()
    if _CONTROL.search(text):
        raise RenderError(f"templates/{path}: `{key}` would hold a line break or a control character")
    return text


def _rendered_blocks(block: Any, values: dict[str, Any]) -> Any:
    match block:
        case Template():
            # A person's `<!channel>` would call everybody. Chat knows the escapes of `&`, `<` and `>`, and no others.
            return _render(block, values).replace("&#34;", '"').replace("&#39;", "'")
        case list():
            return [_rendered_blocks(item, values) for item in block]
        case dict():
            return {key: _rendered_blocks(item, values) for key, item in block.items()}
        case _:
            return block
