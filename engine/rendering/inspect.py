"""What a template needs and where it is wrong, found without rendering it: the facts behind `sojourn check`.

Jinja2's own `meta.find_undeclared_variables` knows only first names (`trigger`), and nothing of defaults.
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.rendering.library import Library, TemplateFile
from engine.rendering.template_facts import MissingInclude, TemplateFacts, TemplateVariable
from engine.rendering.walk import Walker, from_root

__all__ = ["MissingInclude", "TemplateFacts", "TemplateVariable", "inspect_template"]

#: What carriers understand in every language, and the French spelling.
_STOP = re.compile(r"\b(?:stop|arr[eê]t)\b", re.IGNORECASE)
_LINKS = frozenset(["links.unsubscribe", "links.preferences"])


def inspect_template(root: Path, folder: str, template: str, library: Library | None = None) -> TemplateFacts:
    """The facts of a template under `templates/FOLDER/`; `library` saves reading the folder again for each."""
    library = library or Library(root)
    files = library.variants(folder, template)
    pages = [file for file in files if file.is_page]
    walker = Walker(library)
    without_unsubscribe = []
    without_stop = []
    said = {}
    for file in files:
        walker.mentioned.clear()
        walker.walk_template(file)
        if file.extension == "txt":
            said[from_root(file)] = walker.said(file)
        if file.extension == "txt" and not walker.mentioned & _LINKS and not any(map(_says_stop, walker.reached)):
            without_stop.append(file)
        # The derived twin has the page's links; a twin of one's own has only its own.
        if not walker.mentioned & _LINKS:
            without_unsubscribe.append(file)
        if pages and file.extension == "txt" and file.text != file.parts.body:
            walker.report(file, 1, "a text twin takes its front matter from the page", "delete the front matter")
    return TemplateFacts(
        files=tuple(from_root(file) for file in files),
        variables=tuple(sorted(walker.variables, key=lambda each: (each.file, each.line, each.column, each.path))),
        missing=tuple(sorted(walker.missing, key=lambda each: (each.file, each.line, each.name))),
        problems=tuple(sorted(walker.problems, key=lambda each: (each.file, each.line, each.column, each.message))),
        said=said,
        blocks={from_root(file): file.parts.blocks for file in files if file.parts.blocks},
        without_unsubscribe=tuple(from_root(file) for file in without_unsubscribe),
        without_stop=tuple(from_root(file) for file in without_stop),
        without_subject=tuple(from_root(file) for file in pages if "subject" not in file.parts.texts),
    )


def _says_stop(file: TemplateFile) -> bool:
    return bool(_STOP.search(file.parts.body))
