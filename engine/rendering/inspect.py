"""What a template needs and where it is wrong, found without rendering it: the facts behind `sojourn check`.

Jinja2's own `meta.find_undeclared_variables` knows only first names (`trigger`), and nothing of defaults. Here the
tree is walked as it would run: `x | default(…)`, `x or …`, `x is defined` and `{% if x %}` each count as a default,
a loop's variable is followed to its list (`trigger.items[].name`), and includes are walked with what surrounds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from jinja2 import DictLoader, TemplateSyntaxError, nodes

from engine.language.source import ListNode, MapNode, Node, ScalarNode
from engine.rendering.document import is_whole
from engine.rendering.filters import FILTERS
from engine.rendering.front_matter import TemplateProblem
from engine.rendering.library import LAYOUT, Library, TemplateFile
from engine.rendering.sandbox import Sandbox, located

_DEFAULTS = frozenset(["d", "default"])
_HARMLESS_TESTS = frozenset(["defined", "undefined", "none"])
_MAPPING_METHODS = frozenset(["items", "keys", "values", "get"])
_LINKS = frozenset(["links.unsubscribe", "links.preferences"])
#: Names that the renderer itself provides: everywhere, and in a layout.
_PROVIDED = ("locale",)
_PROVIDED_TO_LAYOUTS = ("locale", "content", "subject", "preheader")
_GLOBALS = frozenset(["range", "namespace", "cycler", "joiner"])
#: Ends the path of a local name whose value cannot be missing, though its members may.
_HAS_DEFAULT = "?"
_UNQUOTED = re.compile(r"<[A-Za-z][^<>]*\s[\w:-]+=\{\{")


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateVariable:
    """A use of a name that has no default there; `file` is relative to the project's root."""

    #: Dotted: `profile.name`, `code`; a list's members are `trigger.items[].name`.
    path: str
    file: str
    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingInclude:
    name: str
    file: str
    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFacts:
    """A template in all its locales; every file is relative to the project's root."""

    #: Its own files. Empty: there is no such template.
    files: tuple[str, ...] = ()
    variables: tuple[TemplateVariable, ...] = ()
    missing: tuple[MissingInclude, ...] = ()
    problems: tuple[TemplateProblem, ...] = ()
    #: Those of its files that neither link to `links.unsubscribe` nor to `links.preferences`.
    without_unsubscribe: tuple[str, ...] = ()
    #: Those of its HTML files that have no `subject`.
    without_subject: tuple[str, ...] = ()


def inspect_template(root: Path, folder: str, template: str, library: Library | None = None) -> TemplateFacts:
    """The facts of a template under `templates/FOLDER/`; `library` saves reading the folder again for each."""
    library = library or Library(root)
    files = library.variants(folder, template)
    pages = [file for file in files if file.extension == "html"]
    walker = _Walker(library)
    without_unsubscribe = []
    for file in files:
        walker.mentioned.clear()
        walker.walk_template(file)
        # The derived twin has the page's links; a twin of one's own has only its own.
        if not walker.mentioned & _LINKS:
            without_unsubscribe.append(file)
        if pages and file.extension == "txt" and file.text != file.parts.body:
            walker.report(file, 1, "a text twin takes its front matter from the `.html`", "delete the front matter")
    return TemplateFacts(
        files=tuple(_from_root(file) for file in files),
        variables=tuple(sorted(walker.variables, key=lambda each: (each.file, each.line, each.column, each.path))),
        missing=tuple(sorted(walker.missing, key=lambda each: (each.file, each.line, each.name))),
        problems=tuple(sorted(walker.problems, key=lambda each: (each.file, each.line, each.column, each.message))),
        without_unsubscribe=tuple(_from_root(file) for file in without_unsubscribe),
        without_subject=tuple(_from_root(file) for file in pages if "subject" not in file.parts.texts),
    )


def _from_root(file: TemplateFile) -> str:
    return f"templates/{file.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Here:
    """Where the walk stands."""

    file: TemplateFile
    #: Local names: the path that each stands for, or None where it has none.
    names: Mapping[str, str | None] = field(default_factory=dict)
    #: Paths that a condition around has found to exist.
    guarded: frozenset[str] = frozenset()
    #: Blocks that a child template replaces.
    replaced: frozenset[str] = frozenset()
    #: Files on the way here.
    within: tuple[str, ...] = ()

    def knowing(self, paths: Iterable[str]) -> _Here:
        return replace(self, guarded=self.guarded | frozenset(paths))

    def naming(self, names: Mapping[str, str | None]) -> _Here:
        return replace(self, names={**self.names, **names})


#: Paths that exist where a condition is true, and where it is false.
_Guards = tuple[frozenset[str], frozenset[str]]
_NO_GUARDS: _Guards = (frozenset(), frozenset())


class _Walker:
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
        self._reached: list[TemplateFile] = []

    def report(self, file: TemplateFile, line: int, message: str, hint: str = "") -> None:
        self.problems.add(TemplateProblem(file=_from_root(file), line=line, column=1, message=message, hint=hint))

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def walk_template(self, file: TemplateFile) -> None:
        """A template itself: its front matter, its body, and the layout that its fragment would be set into."""
        provided: dict[str, str | None] = dict.fromkeys(_PROVIDED)
        here = _Here(file=file, names=provided)
        for node in [*file.parts.texts.values(), *_texts(file.parts.blocks)]:
            tree = self._parse(self._text, file, str(node.value), node.line)
            if tree:
                self._body(tree.body, here)
        self._reached = []
        self._walk_file(file, here)
        if file.extension == "html" and not any(is_whole(each.text) for each in self._reached):
            for layout in self._partials(LAYOUT):
                self._walk_file(layout, _Here(file=layout, names=dict.fromkeys(_PROVIDED_TO_LAYOUTS)))

    def _walk_file(self, file: TemplateFile, here: _Here) -> None:
        self._reached.append(file)
        if file.path not in self._trees:
            for problem in file.problems:
                self.problems.add(replace(problem, file=f"templates/{problem.file}"))
            sandbox = self._page if file.extension == "html" else self._text
            self._trees[file.path] = self._parse(sandbox, file, file.parts.body, file.parts.body_line)
            if file.extension == "html":
                self._check_quotes(file)
        tree = self._trees[file.path]
        if tree and file.path not in here.within:
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

    def _walk_named(self, node: nodes.Expr, here: _Here, *, is_optional: bool = False) -> None:
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
                    MissingInclude(name=each.value, file=_from_root(here.file), line=each.lineno, column=column)
                )
        for file in files:
            self._walk_file(file, here)

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _body(self, body: Iterable[nodes.Node], here: _Here) -> _Here:
        """Walks statements in order; returns the place after them, with the names that they set."""
        for node in body:
            here = self._statement(node, here)
        return here

    def _statement(self, node: nodes.Node, here: _Here) -> _Here:
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
                return here.naming(_targets(node.target))
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

    def _if(self, node: nodes.If, here: _Here) -> _Here:
        where_true, where_false = self._test(node.test, here)
        names = dict(self._body(node.body, here.knowing(where_true)).names)
        rest = here.knowing(where_false)
        for arm in node.elif_:
            where_true, where_false = self._test(arm.test, rest)
            names.update(self._body(arm.body, rest.knowing(where_true)).names)
            rest = rest.knowing(where_false)
        names.update(self._body(node.else_, rest).names)
        return here.naming(names)

    def _for(self, node: nodes.For, here: _Here) -> None:
        self._use(node.iter, here)
        over = _base(node.iter, here)
        inner = here.naming({**_targets(node.target), "loop": None})
        if over and isinstance(node.target, nodes.Name):
            inner = inner.naming({node.target.name: f"{over}[]"})
        if node.test:
            inner = inner.knowing(self._test(node.test, inner)[0])
        self._body(node.body, inner)
        self._body(node.else_, here)

    def _assign(self, target: nodes.Node, value: nodes.Node, here: _Here) -> _Here:
        # A name for a name needs its default where it is used; any other value has it, and only its members may lack.
        path = _path(value, here)
        base = _base(value, here)
        if path is None:
            self._use(value, here)
            base = f"{base}{_HAS_DEFAULT}" if base else None
        return here.naming({target.name: base} if isinstance(target, nodes.Name) else _targets(target))

    # ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _use(self, node: nodes.Node | None, here: _Here) -> None:
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

    def _use_all(self, several: Iterable[nodes.Node], here: _Here) -> None:
        for each in several:
            self._use(each, here)

    def _use_path(self, node: nodes.Name | nodes.Getattr | nodes.Getitem, here: _Here) -> None:
        path = _path(node, here)
        if path is None:
            if not isinstance(node, nodes.Name):
                self._use_all(node.iter_child_nodes(), here)
            return
        self.mentioned.add(path)
        if path.endswith(_HAS_DEFAULT):
            return
        is_known = any(each == path or each.startswith((f"{path}.", f"{path}[")) for each in here.guarded)
        if not is_known:
            path = path.replace(_HAS_DEFAULT, "")
            column = _column(here.file, node.lineno, path.rpartition("[].")[2])
            self.variables.add(TemplateVariable(path=path, file=_from_root(here.file), line=node.lineno, column=column))

    def _defaulted(self, node: nodes.Node | None, here: _Here) -> None:
        """An expression that may as well be missing."""
        path = _path(node, here)
        if path is not None:
            self.mentioned.add(path)
        elif isinstance(node, nodes.CondExpr) and node.expr2 is None:
            self._use(node.expr1, here.knowing(self._test(node.test, here)[0]))
        else:
            self._use(node, here)

    def _call(self, node: nodes.Call, here: _Here) -> None:
        match node.node:
            case nodes.Getattr(attr=attr) as method:
                owner = _path(method.node, here)
                if attr in _MAPPING_METHODS and owner is not None:
                    hint = 'write `| items`, or `["key"] | default(…)`'
                    self.report(here.file, node.lineno, f"a dot reads a key: `.{attr}()` is not available", hint)
                self._use(method.node, here)
            case callee:
                self._use(callee, here)
        self._use_all([*node.args, *node.kwargs], here)

    def _test(self, node: nodes.Node, here: _Here) -> _Guards:
        """A condition: a missing name in it is false. Returns what it proves to exist."""
        path = _path(node, here)
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
                tested = _path(node.node, here)
                exists = frozenset([tested] if tested else [])
                return (exists, frozenset()) if name == "defined" else (frozenset(), exists)
            case _:
                self._use(node, here)
                return _NO_GUARDS


def _path(node: nodes.Node | None, here: _Here) -> str | None:
    """The dotted path that an expression names, or None: it is another kind of expression, or a local without one."""
    match node:
        case nodes.Name():
            is_global = node.name not in here.names and node.name not in _GLOBALS
            return node.name if is_global else here.names.get(node.name)
        case nodes.Getattr():
            owner = _path(node.node, here)
            return f"{owner}.{node.attr}" if owner else None
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            owner = _path(node.node, here)
            return f"{owner}.{key}" if owner else None
        case nodes.Getitem(arg=nodes.Const(value=int())):
            owner = _path(node.node, here)
            return f"{owner}[]" if owner else None
        case _:
            return None


def _base(node: nodes.Node | None, here: _Here) -> str | None:
    """The path that a value comes from, through filters and `or`."""
    match node:
        case nodes.Filter(name="d" | "default" | "list" | "sort" | "reverse" | "unique" | "selectattr" | "rejectattr"):
            return _base(node.node, here)
        case nodes.Or():
            return _base(node.left, here)
        case nodes.Getitem(arg=nodes.Slice()):
            return _base(node.node, here)
        case _:
            return _path(node, here)


def _targets(node: nodes.Node) -> dict[str, str | None]:
    return {each.name: None for each in [node, *node.find_all(nodes.Name)] if isinstance(each, nodes.Name)}


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
