"""A walk over a template's tree as it would run: every name that is used, and whether it has a default there.

`x | default(…)`, `x or …`, `x is defined` and `{% if x %}` each count as a default. A loop's variable is followed to
its list (`trigger.items[].name`), and includes are walked with what surrounds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from jinja2 import DictLoader, TemplateSyntaxError, nodes

from engine.language.source import ListNode, MapNode, Node, ScalarNode
from engine.rendering.document import is_whole
from engine.rendering.filters import FILTERS
from engine.rendering.front_matter import TemplateProblem
from engine.rendering.library import LAYOUT, Library, TemplateFile, takes_fragments
from engine.rendering.mjml import check_source
from engine.rendering.paths import HAS_DEFAULT, Here, base_of, path_of, targets_of
from engine.rendering.sandbox import Sandbox, located
from engine.rendering.template_facts import MissingInclude, TemplateVariable

_DEFAULTS = frozenset(["d", "default"])
_HARMLESS_TESTS = frozenset(["defined", "undefined", "none"])
_MAPPING_METHODS = frozenset(["items", "keys", "values", "get"])
#: Names that the renderer itself provides: everywhere, and in a layout.
_PROVIDED = ("locale",)
_PROVIDED_TO_LAYOUTS = ("locale", "content", "subject", "preheader")
_UNQUOTED = re.compile(r"<[A-Za-z][^<>]*\s[\w:-]+=\{\{")

#: Paths that exist where a condition is true, and where it is false.
_Guards = tuple[frozenset[str], frozenset[str]]
_NO_GUARDS: _Guards = (frozenset(), frozenset())


def from_root(file: TemplateFile) -> str:
    """The file's name as people know it, from the project's root."""
    return f"templates/{file.path}"


class Walker:
    """Collects, over as many templates as it walks, what they need and what is wrong with them."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._page = Sandbox(DictLoader({}), FILTERS, is_html=True)
        self._text = Sandbox(DictLoader({}), FILTERS, is_html=False)
        self._trees: dict[str, nodes.Template | None] = {}
        self.variables: set[TemplateVariable] = set()
        self.missing: set[MissingInclude] = set()
        self.problems: set[TemplateProblem] = set()
        #: Every path named since it was last cleared, with a default or without.
        self.mentioned: set[str] = set()
        #: The files of the template walked last: its own, and what it includes.
        self.reached: list[TemplateFile] = []
        #: Files walked for the present template, with what surrounded them: a second time could only repeat itself.
        self._walked: set[tuple[object, ...]] = set()

    def report(self, file: TemplateFile, line: int, message: str, hint: str = "") -> None:
        self.problems.add(TemplateProblem(file=from_root(file), line=line, column=1, message=message, hint=hint))

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def walk_template(self, file: TemplateFile) -> None:
        """A template itself: its front matter, its body, and the layout that its fragment would be set into."""
        provided: dict[str, str | None] = dict.fromkeys(_PROVIDED)
        here = Here(file=file, names=provided)
        for node in [*file.parts.texts.values(), *_texts(file.parts.blocks)]:
            tree = self._parse(self._text, file, str(node.value), node.line)
            if tree:
                self._body(tree.body, here)
        self.reached = []
        self._walked = set()
        self._walk_file(file, here)
        if file.extension == "html" and not any(is_whole(each.text) for each in self.reached):
            for layout in filter(takes_fragments, self._partials(LAYOUT)):
                self._walk_file(layout, Here(file=layout, names=dict.fromkeys(_PROVIDED_TO_LAYOUTS)))

    def said(self, file: TemplateFile) -> str:
        """What a walked file says whatever its names hold."""
        tree = self._trees.get(file.path)
        printed = (node for node in (tree.body if tree else ()) if isinstance(node, nodes.Output))
        return "".join(part.data for node in printed for part in node.nodes if isinstance(part, nodes.TemplateData))

    def _walk_file(self, file: TemplateFile, here: Here) -> None:
        self.reached.append(file)
        if file.path not in self._trees:
            for problem in file.problems:
                self.problems.add(replace(problem, file=f"templates/{problem.file}"))
            sandbox = self._page if file.is_page else self._text
            self._trees[file.path] = self._parse(sandbox, file, file.parts.body, file.parts.body_line)
            if file.is_page:
                self._check_quotes(file)
            bad = check_source(file.parts.body) if file.extension == "mjml" else None
            if bad:
                self.report(file, file.parts.body_line + bad.line - 1, str(bad))
        tree = self._trees[file.path]
        surroundings = (file.path, frozenset(here.names.items()), here.guarded, here.replaced)
        if tree and surroundings not in self._walked and file.path not in here.within:
            self._walked.add(surroundings)
            self._body(tree.body, replace(here, file=file, within=(*here.within, file.path)))

    def _parse(self, sandbox: Sandbox, file: TemplateFile, text: str, line: int) -> nodes.Template | None:
        try:
            # Compiled, too: unknown filters and what our sandbox refuses show only then.
            sandbox.compile(located(text, line), name=file.path, filename=file.path)
            return sandbox.parse(located(text, line))
        except TemplateSyntaxError as error:
            self.report(file, error.lineno, error.message or "the template does not parse")
        except (RecursionError, SyntaxError, MemoryError):
            # The last two are Python's own, about the code that the template became.
            self.report(file, line, "the template is nested too deeply")
        return None

    def _check_quotes(self, file: TemplateFile) -> None:
        for number, text in enumerate(file.text.split("\n"), start=1):
            if _UNQUOTED.search(text):
                message = "an attribute's value must be in quotes, or a person's data can add attributes"
                self.report(file, number, message, 'write `attr="{{ … }}"`')

    def _partials(self, name: str) -> list[TemplateFile]:
        """The files that a name stands for, in all locales."""
        locales = self._library.all_locales()
        found = (self._library.find_partial(name, (locale,)) for locale in locales)
        return [file for file in found if file]

    def _walk_named(self, node: nodes.Expr, here: Here, *, is_optional: bool = False) -> None:
        names = [node] if not isinstance(node, nodes.List | nodes.Tuple) else node.items
        files: list[TemplateFile] = []
        for each in names:
            if not isinstance(each, nodes.Const) or not isinstance(each.value, str):
                self.report(here.file, each.lineno, "the name of another template must be plain text")
                return
            found = self._partials(each.value)
            files += found
            if not found and len(names) == 1 and not is_optional:
                column = _column(here.file, each.lineno, each.value)
                self.missing.add(
                    MissingInclude(name=each.value, file=from_root(here.file), line=each.lineno, column=column)
                )
        for file in files:
            self._walk_file(file, here)

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _body(self, body: Iterable[nodes.Node], here: Here) -> Here:
        """Walks statements in order; returns the place after them, with the names that they set."""
        for node in body:
            here = self._statement(node, here)
        return here

    def _statement(self, node: nodes.Node, here: Here) -> Here:
        match node:
            case nodes.Output():
                for each in node.nodes:
                    self._use(each, here)
            case nodes.If():
                return self._if(node, here)
            case nodes.For():
                self._for(node, here)
            case nodes.Assign():
                return self._assign(node.target, node.node, here)
            case nodes.AssignBlock():
                self._body(node.body, here)
                return here.naming(targets_of(node.target))
            case nodes.Macro():
                here = here.naming({node.name: None})
                for default in node.defaults:
                    self._use(default, here)
                arguments = [each.name for each in node.args]
                self._body(node.body, here.naming(dict.fromkeys([*arguments, "caller", "varargs", "kwargs"])))
            case nodes.CallBlock():
                self._use(node.call, here)
                self._body(node.body, here.naming(dict.fromkeys(each.name for each in node.args)))
            case nodes.FilterBlock():
                self._use(node.filter, here)
                self._body(node.body, here)
            case nodes.With():
                inner = here
                for target, value in zip(node.targets, node.values, strict=True):
                    inner = self._assign(target, value, inner)
                self._body(node.body, inner)
            case nodes.Block():
                if node.name not in here.replaced:
                    self._body(node.body, here.naming(dict.fromkeys(["super", "self"])))
            case nodes.Extends():
                tree = self._trees.get(here.file.path)
                blocks = tree.find_all(nodes.Block) if tree else ()
                # A block that calls `super()` replaces nothing.
                own = {each.name for each in blocks if not _calls_super(each)}
                self._walk_named(node.template, replace(here, replaced=here.replaced | own))
            case nodes.Include():
                self._walk_named(node.template, here, is_optional=node.ignore_missing)
            case nodes.Import():
                self._walk_named(node.template, here)
                return here.naming({node.target: None})
            case nodes.FromImport():
                self._walk_named(node.template, here)
                return here.naming(dict.fromkeys(each if isinstance(each, str) else each[1] for each in node.names))
            case _:
                for child in node.iter_child_nodes():
                    here = self._statement(child, here)
        return here

    def _if(self, node: nodes.If, here: Here) -> Here:
        where_true, where_false = self._test(node.test, here)
        names = dict(self._body(node.body, here.knowing(where_true)).names)
        rest = here.knowing(where_false)
        for arm in node.elif_:
            where_true, where_false = self._test(arm.test, rest)
            names.update(self._body(arm.body, rest.knowing(where_true)).names)
            rest = rest.knowing(where_false)
        names.update(self._body(node.else_, rest).names)
        return here.naming(names)

    def _for(self, node: nodes.For, here: Here) -> None:
        self._use(node.iter, here)
        over = base_of(node.iter, here)
        inner = here.naming({**targets_of(node.target), "loop": None})
        if over and isinstance(node.target, nodes.Name):
            inner = inner.naming({node.target.name: f"{over}[]"})
        if node.test:
            inner = inner.knowing(self._test(node.test, inner)[0])
        self._body(node.body, inner)
        self._body(node.else_, here)

    def _assign(self, target: nodes.Node, value: nodes.Node, here: Here) -> Here:
        # A name for a name needs its default where it is used; any other value has it, and only its members may lack.
        path = path_of(value, here)
        base = base_of(value, here)
        if path is None:
            self._use(value, here)
            base = f"{base}{HAS_DEFAULT}" if base else None
        return here.naming({target.name: base} if isinstance(target, nodes.Name) else targets_of(target))

    # ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _use(self, node: nodes.Node | None, here: Here) -> None:
        """An expression whose value is needed."""
        match node:
            case None:
                pass
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                self._use_path(node, here)
            case nodes.Filter() if node.name in _DEFAULTS:
                self._defaulted(node.node, here)
                self._use_all([*node.args, *node.kwargs], here)
            case nodes.Test() if node.name in _HARMLESS_TESTS:
                self._defaulted(node.node, here)
            case nodes.Call():
                self._call(node, here)
            case nodes.CondExpr():
                where_true, where_false = self._test(node.test, here)
                self._use(node.expr1, here.knowing(where_true))
                self._use(node.expr2, here.knowing(where_false))
                if node.expr2 is None:
                    self.report(here.file, node.lineno, "an inline `if` needs an `else`", 'write `… else ""`')
            case nodes.Or():
                _, where_false = self._test(node.left, here)
                self._use(node.right, here.knowing(where_false))
            case nodes.And():
                self._use(node.left, here)
                self._use(node.right, here.knowing(self._test(node.left, here)[0]))
            case nodes.Not():
                self._test(node.node, here)
            case _:
                self._use_all(node.iter_child_nodes(), here)

    def _use_all(self, several: Iterable[nodes.Node], here: Here) -> None:
        for each in several:
            self._use(each, here)

    def _use_path(self, node: nodes.Name | nodes.Getattr | nodes.Getitem, here: Here) -> None:
        path = path_of(node, here)
        if path is None:
            if not isinstance(node, nodes.Name):
                self._use_all(node.iter_child_nodes(), here)
            return
        self.mentioned.add(path)
        if path.endswith(HAS_DEFAULT):
            return
        is_known = any(each == path or each.startswith((f"{path}.", f"{path}[")) for each in here.guarded)
        if not is_known:
            path = path.replace(HAS_DEFAULT, "")
            column = _column(here.file, node.lineno, path.rpartition("[].")[2])
            self.variables.add(TemplateVariable(path=path, file=from_root(here.file), line=node.lineno, column=column))

    def _defaulted(self, node: nodes.Node | None, here: Here) -> None:
        """An expression that may as well be missing."""
        path = path_of(node, here)
        if path is not None:
            self.mentioned.add(path)
        elif isinstance(node, nodes.CondExpr) and node.expr2 is None:
            self._use(node.expr1, here.knowing(self._test(node.test, here)[0]))
        else:
            self._use(node, here)

    def _call(self, node: nodes.Call, here: Here) -> None:
        match node.node:
            case nodes.Getattr(attr=attr) as method:
                owner = path_of(method.node, here)
                if attr in _MAPPING_METHODS and owner is not None:
                    hint = 'write `| items`, or `["key"] | default(…)`'
                    self.report(here.file, node.lineno, f"a dot reads a key: `.{attr}()` is not available", hint)
                self._use(method.node, here)
            case callee:
                self._use(callee, here)
        self._use_all([*node.args, *node.kwargs], here)

    def _test(self, node: nodes.Node, here: Here) -> _Guards:
        """A condition: a missing name in it is false. Returns what it proves to exist."""
        path = path_of(node, here)
        if path is not None:
            self.mentioned.add(path)
            return frozenset([path]), frozenset()
        match node:
            case nodes.Not():
                where_true, where_false = self._test(node.node, here)
                return where_false, where_true
            case nodes.And():
                left, _ = self._test(node.left, here)
                right, _ = self._test(node.right, here.knowing(left))
                return left | right, frozenset()
            case nodes.Or():
                _, left = self._test(node.left, here)
                _, right = self._test(node.right, here.knowing(left))
                return frozenset(), left | right
            case nodes.Test(name="defined" | "undefined" as name):
                self._use(node, here)
                tested = path_of(node.node, here)
                exists = frozenset([tested] if tested else [])
                return (exists, frozenset()) if name == "defined" else (frozenset(), exists)
            case _:
                self._use(node, here)
                return _NO_GUARDS


def _calls_super(block: nodes.Block) -> bool:
    return any(isinstance(each.node, nodes.Name) and each.node.name == "super" for each in block.find_all(nodes.Call))


def _texts(node: Node | None) -> list[ScalarNode]:
    match node:
        case None:
            return []
        case ScalarNode():
            return [node] if isinstance(node.value, str) else []
        case ListNode():
            return [text for item in node.items for text in _texts(item)]
        case MapNode():
            return [text for pair in node.pairs.values() for text in _texts(pair.value)]


def _column(file: TemplateFile, line: int, written: str) -> int:
    lines = file.text.split("\n")
    return max(lines[line - 1].find(written), 0) + 1 if line <= len(lines) else 1
