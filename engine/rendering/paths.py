"""Paths: the dotted names by which a template's expressions reach into its scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jinja2 import nodes

from engine.rendering.library import TemplateFile

#: Ends the path of a local name whose value cannot be missing, though its members may.
HAS_DEFAULT = "?"
_GLOBALS = frozenset(["range", "namespace", "cycler", "joiner"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
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

    def knowing(self, paths: Iterable[str]) -> Here:
        return replace(self, guarded=self.guarded | frozenset(paths))

    def naming(self, names: Mapping[str, str | None]) -> Here:
        return replace(self, names={**self.names, **names})


def path_of(node: nodes.Node | None, here: Here) -> str | None:
    """The dotted path that an expression names, or None: it is another kind of expression, or a local without one."""
    match node:
        case nodes.Name():
            is_global = node.name not in here.names and node.name not in _GLOBALS
            return node.name if is_global else here.names.get(node.name)
        case nodes.Getattr():
            owner = path_of(node.node, here)
            return f"{owner}.{node.attr}" if owner else None
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            owner = path_of(node.node, here)
            return f"{owner}.{key}" if owner else None
        case nodes.Getitem(arg=nodes.Const(value=int())):
            owner = path_of(node.node, here)
            return f"{owner}[]" if owner else None
        case _:
            return None


def base_of(node: nodes.Node | None, here: Here) -> str | None:
    """The path that a value comes from, through filters and `or`."""
    match node:
        case nodes.Filter(name="d" | "default" | "list" | "sort" | "reverse" | "unique" | "selectattr" | "rejectattr"):
            return base_of(node.node, here)
        case nodes.Or():
            return base_of(node.left, here)
        case nodes.Getitem(arg=nodes.Slice()):
            return base_of(node.node, here)
        case _:
            return path_of(node, here)


def targets_of(node: nodes.Node) -> dict[str, str | None]:
    """The names that an assignment makes, none of which stands for a path."""
    return {each.name: None for each in [node, *node.find_all(nodes.Name)] if isinstance(each, nodes.Name)}
