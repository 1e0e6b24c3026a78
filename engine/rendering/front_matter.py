"""Front matter: the YAML between two `---` lines at the top of a template, and the body below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.language.diagnostics import Problems, Span
from engine.language.source import ListNode, MapNode, Node, ScalarNode, read_source

#: What front matter may say. `blocks` is a list; the others are text.
KEYS = ("subject", "preheader", "from", "blocks")


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateProblem:
    """Something wrong with a template; `file` is relative to `templates/`, `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontMatter:
    """A template, taken apart."""

    #: Key -> its text; each is a template itself.
    texts: Mapping[str, ScalarNode] = field(default_factory=dict)
    blocks: ListNode | None = None
    body: str
    #: The line of the file on which the body begins.
    body_line: int
    problems: tuple[TemplateProblem, ...] = ()


def split_front_matter(file: str, text: str) -> FrontMatter:
    """The parts of a template's text; a file that does not begin with `---` is all body."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return FrontMatter(body=text, body_line=1)
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        problem = _problem(file, "the front matter has no end", "close it with a line `---`")
        return FrontMatter(body=text, body_line=1, problems=(problem,))
    found = Problems()
    # An empty first line in place of the `---`: the lines keep their numbers.
    source = read_source(file, "\n".join(["", *lines[1:end]]).encode(), found)
    texts: dict[str, ScalarNode] = {}
    blocks: ListNode | None = None
    problems = [
        TemplateProblem(file=each.file, line=each.line, column=each.column, message=each.message, hint=each.hint)
        for each in found.sorted()
    ]
    for document in source.documents:
        if not isinstance(document, MapNode):
            problems.append(_problem(file, "front matter must be a mapping", "write `subject: …`", document))
            continue
        for key, pair in document.pairs.items():
            match key, pair.value:
                case "blocks", ListNode() as value:
                    blocks = value
                case (("subject" | "preheader" | "from"), ScalarNode(value=str()) as value):
                    texts[key] = value
                case "blocks", value:
                    problems.append(_problem(file, "`blocks` must be a list", "", value))
                case (("subject" | "preheader" | "from"), value):
                    problems.append(_problem(file, f"`{key}` must be text", "put it in quotes", value))
                case _:
                    hint = f"allowed: {', '.join(f'`{each}`' for each in KEYS)}"
                    problems.append(_problem(file, f"unknown key `{key}` in the front matter", hint, pair.key))
    return FrontMatter(
        texts=texts, blocks=blocks, body="\n".join(lines[end + 1 :]), body_line=end + 2, problems=tuple(problems)
    )


def _problem(file: str, message: str, hint: str, place: Node | None = None) -> TemplateProblem:
    at = place or Span(file=file, line=1, column=1)
    return TemplateProblem(file=file, line=at.line, column=at.column, message=message, hint=hint)
