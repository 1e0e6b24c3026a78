"""`${NAME}` and `${NAME:-default}` in `sojourn.yml`, filled in from the environment.

A node keeps the text as written beside the value filled in, so no message shows what the environment held.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from engine.language.diagnostics import Problems
from engine.language.source import ListNode, MapNode, Node, Pair, ScalarNode

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_UNREADABLE = re.compile(r"\$\{")


class Environment:
    """Fills variables in; remembers what was missing."""

    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ = environ
        self._problems = problems
        #: Texts that name a variable which is not set.
        self.incomplete: set[tuple[int, int]] = set()

    def fill(self, node: Node) -> Node:
        """The node with every variable in its texts replaced; keys stay as they are."""
        match node:
            case MapNode():
                pairs = {key: Pair(key=pair.key, value=self.fill(pair.value)) for key, pair in node.pairs.items()}
                return replace(node, pairs=pairs)
            case ListNode():
                return replace(node, items=tuple(self.fill(item) for item in node.items))
            case ScalarNode(value=str() as text) if "${" in text:
                return replace(node, value=self._filled(text, node), raw=node.raw or "${…}")
            case _:
                return node

    def is_complete(self, node: Node) -> bool:
        """Whether every variable inside the node was set."""
        match node:
            case MapNode():
                return all(self.is_complete(pair.value) for pair in node.pairs.values())
            case ListNode():
                return all(self.is_complete(item) for item in node.items)
            case ScalarNode():
                return (node.line, node.column) not in self.incomplete

    def _filled(self, text: str, node: ScalarNode) -> str:
        def value(found: re.Match[str]) -> str:
            name, default = found[1], found[2]
            set_to = self._environ.get(name)
            if default is not None:
                return set_to or default
            if set_to is None:
                hint = f"set it, or give a default: `${{{name}:-…}}`"
                self._problems.error("SJ701", node, f"the environment variable {name} is not set", hint)
                self.incomplete.add((node.line, node.column))
                return ""
            return set_to

        if _UNREADABLE.search(_VARIABLE.sub("", text)):
            hint = "`${NAME}` or `${NAME:-default}`, with letters, digits and underscores"
            self._problems.error("SJ701", node, "a reference to the environment cannot be read", hint)
            self.incomplete.add((node.line, node.column))
        return _VARIABLE.sub(value, text)
