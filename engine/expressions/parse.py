"""Text → tree. Python's own grammar reads the text; whatever is not of our language is refused with its place.

The text is data throughout: it is parsed, converted node by node against a closed list, and never compiled or run.
"""

from __future__ import annotations

import ast
import math
from datetime import timedelta
from functools import lru_cache
from typing import get_args

from engine.errors import BadInput, ExpressionError
from engine.expressions.functions import AGGREGATES, ALL_NAMES, FUNCTIONS, OF_EVENTS, usage
from engine.expressions.mistakes import near
from engine.expressions.nodes import (
    Aggregate,
    AggregateName,
    And,
    Arithmetic,
    ArithmeticSign,
    Call,
    Compare,
    Comparison,
    Constant,
    HasConsent,
    HasReceived,
    InSegment,
    IsEnrolled,
    ListOf,
    Negative,
    Node,
    Not,
    Now,
    Or,
    Read,
    Root,
)
from engine.expressions.patterns import PatternError, compile_pattern
from engine.expressions.source import MAX_DEPTH, SPLIT_IT, TOO_DEEP, Source
from engine.schedule import parse_duration

_ROOTS: tuple[Root, ...] = get_args(Root)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "none": None}
_NAMES = (*_ROOTS, "now", *_WORDS)
_AGGREGATES: dict[str, AggregateName] = {name: name for name in get_args(AggregateName)}

_COMPARISONS: dict[type[ast.cmpop], Comparison] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_SIGNS: dict[type[ast.operator], ArithmeticSign] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}

#: Constructs of Python that are not of the language: what they are called, and what to write.
_REFUSED: dict[type[ast.expr], tuple[str, str]] = {
    ast.Tuple: ("a list in round brackets", "write [1, 2]"),
    ast.Set: ("a set", "write a list: [1, 2]"),
    ast.Dict: ("a mapping", "read single names, as in event.total"),
    ast.IfExp: ("`if … else`", "use a branch step, or `coalesce(a, b)` for a missing value"),
    ast.JoinedStr: ("a text with `f` before it", 'join texts with `+`: "Hello " + profile.name'),
    ast.ListComp: ("a comprehension", 'events are counted with `count("NAME", where="…")`'),
    ast.GeneratorExp: ("a comprehension", 'events are counted with `count("NAME", where="…")`'),
    ast.NamedExpr: ("`:=`", "to compare, write `==`"),
}


@lru_cache(maxsize=8192)
def parse_expression(text: str) -> Node:
    """The tree of an expression; the same text gives the same object.

    Raises `ExpressionError` with the offset, in characters, of the first problem.
    """
    return _parse(Source(text), is_counted=False)


def _parse(source: Source, *, is_counted: bool) -> Node:
    return _Builder(source, is_counted).node(source.read(), 1)


class _Builder:
    """Turns Python's tree into ours. `is_counted`: inside a `where`, in which no other may be nested."""

    def __init__(self, source: Source, is_counted: bool) -> None:
        self._source = source
        self._error = source.error
        self._is_counted = is_counted

    def node(self, tree: ast.expr, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._error(tree, TOO_DEEP, SPLIT_IT)
        start, end = self._source.span(tree)
        below = depth + 1
        match tree:
            case ast.Constant():
                return self._constant(tree)
            case ast.Name():
                return self._name(tree)
            case ast.Attribute() | ast.Subscript():
                return self._read(tree)
            case ast.List():
                return ListOf(items=tuple(self.node(item, below) for item in tree.elts), start=start, end=end)
            case ast.BoolOp():
                parts = tuple(self.node(value, below) for value in tree.values)
                if isinstance(tree.op, ast.And):
                    return And(parts=parts, start=start, end=end)
                return Or(parts=parts, start=start, end=end)
            case ast.UnaryOp(op=ast.Not()):
                return Not(operand=self.node(tree.operand, below), start=start, end=end)
            case ast.UnaryOp(op=ast.USub()):
                return Negative(operand=self.node(tree.operand, below), start=start, end=end)
            case ast.UnaryOp():
                raise self._error(tree, "before a value stands `-`, `not` or nothing")
            case ast.BinOp():
                sign = _SIGNS.get(type(tree.op))
                if sign is None:
                    raise self._error(
                        self._source.end(tree.left), "there is no such operator", "arithmetic has `+ - * /`"
                    )
                left, right = self.node(tree.left, below), self.node(tree.right, below)
                return Arithmetic(left=left, sign=sign, right=right, start=start, end=end)
            case ast.Compare():
                return self._compare(tree, below)
            case ast.Call():
                return self._call(tree, below)
            case _:
                what, hint = _REFUSED.get(type(tree), ("this", ""))
                raise self._error(tree, f"{what} is not part of the language", hint)

    # ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _constant(self, tree: ast.Constant) -> Constant:
        start, end = self._source.span(tree)
        match tree.value:
            case str() as text:
                return Constant(value=self._plain_text(tree, text), start=start, end=end)
            case True | False | None as word:
                raise self._error(tree, f"there is no `{word}`", f"write `{str(word).lower()}`")
            case int() as number if number.bit_length() <= 63:
                return Constant(value=number, start=start, end=end)
            case float() as number if math.isfinite(number):
                return Constant(value=number, start=start, end=end)
            case int() | float():
                raise self._error(tree, "the number is too large", "whole numbers go up to 9223372036854775807")
            case _:
                raise self._error(tree, "this is neither a text nor a number", 'texts stand in quotes: "pro"')

    def _plain_text(self, tree: ast.expr, value: str) -> str:
        if not self._source.is_one_text(tree):
            raise self._error(tree, "a text stands in one pair of quotes", "is a comma missing between two texts?")
        return value

    def _name(self, tree: ast.Name) -> Node:
        start, end = self._source.span(tree)
        name = tree.id
        if name == "now":
            return Now(start=start, end=end)
        if name in _WORDS:
            return Constant(value=_WORDS[name], start=start, end=end)
        if name in _ROOTS:
            raise self._error(tree, f"`{name}` alone is no value", f"name what to read, as in `{name}.name`")
        if name in ALL_NAMES:
            raise self._error(tree, f"`{name}` is a function", f"write {usage(name)}")
        hint = near(name, _NAMES) or f'did you mean `profile.{name}`, `event.{name}` or the text "{name}"?'
        raise self._error(tree, f"there is no name `{name}`", hint)

    def _read(self, tree: ast.Attribute | ast.Subscript) -> Read:
        path: list[str | int] = []
        inner: ast.expr = tree
        while isinstance(inner, ast.Attribute | ast.Subscript):
            path.append(inner.attr if isinstance(inner, ast.Attribute) else self._place(inner.slice))
            inner = inner.value
        if len(path) > MAX_DEPTH:
            raise self._error(tree, TOO_DEEP)
        if not isinstance(inner, ast.Name):
            raise self._error(inner, "only profile, event, trigger and steps have names inside")
        root = next((root for root in _ROOTS if root == inner.id), None)
        if root is None:
            what = f"`{inner.id}` has no names inside" if inner.id in _NAMES else f"there is no name `{inner.id}`"
            raise self._error(
                inner, what, near(inner.id, _ROOTS) or "names begin with profile, event, trigger or steps"
            )
        path.reverse()
        name = path[0]
        if not isinstance(name, str):
            raise self._error(tree, f"`{root}` is no list", f"name what to read, as in `{root}.name`")
        start, end = self._source.span(tree)
        return Read(root=root, name=name, path=tuple(path[1:]), start=start, end=end)

    def _place(self, tree: ast.expr) -> str | int:
        match tree:
            case ast.Constant(value=str() as name):
                return self._plain_text(tree, name)
            case ast.Constant(value=int() as number) if type(number) is int:
                return number
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)) if type(number) is int:
                return -number
            case _:
                raise self._error(tree, "in square brackets stands a text or a whole number", 'as in event["from"]')

    def _compare(self, tree: ast.Compare, depth: int) -> Node:
        trees = [tree.left, *tree.comparators]
        signs = [self._sign(operator, before) for operator, before in zip(tree.ops, trees, strict=False)]
        sides = [self.node(side, depth) for side in trees]
        pairs: list[Node] = [
            Compare(left=left, sign=sign, right=right, start=left.start, end=right.end)
            for left, sign, right in zip(sides, signs, sides[1:], strict=False)
        ]
        start, end = self._source.span(tree)
        return And(parts=tuple(pairs), start=start, end=end) if len(pairs) > 1 else pairs[0]

    def _sign(self, operator: ast.cmpop, before: ast.expr) -> Comparison:
        sign = _COMPARISONS.get(type(operator))
        if sign is None:
            word = "!=" if isinstance(operator, ast.IsNot) else "=="
            place = self._source.end(before)
            raise self._error(place, "there is no `is`", f"write `{word}`, as in x {word} none")
        return sign

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _call(self, tree: ast.Call, depth: int) -> Node:
        if isinstance(tree.func, ast.Attribute) and tree.func.attr in FUNCTIONS:
            raise self._error(tree.func, "values have no functions of their own", f"write {usage(tree.func.attr)}")
        if not isinstance(tree.func, ast.Name):
            raise self._error(tree.func, "only functions can be called")
        name = tree.func.id
        if name not in ALL_NAMES:
            raise self._error(tree.func, f"there is no function `{name}`", near(name, ALL_NAMES))
        keywords: dict[str, ast.expr] = {}
        for keyword in tree.keywords:
            if keyword.arg is None:
                raise self._arguments(tree, name)
            if keyword.arg in keywords:
                raise self._error(self._source.column(keyword.col_offset), f"`{keyword.arg}=` stands twice")
            keywords[keyword.arg] = keyword.value
        if name in FUNCTIONS:
            return self._plain_call(tree, name, keywords, depth)
        if name in AGGREGATES:
            return self._aggregate(tree, _AGGREGATES[name], keywords, depth)
        return self._question(tree, name, keywords)

    def _arguments(self, tree: ast.Call, name: str) -> ExpressionError:
        return self._error(tree, f"`{name}` takes other arguments", f"write {usage(name)}")

    def _named(self, name: str, argument: ast.expr) -> str:
        """An argument that must be a text in quotes."""
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise self._error(argument, f"`{name}` takes a text in quotes here", f"write {usage(name)}")
        return self._plain_text(argument, argument.value)

    def _plain_call(self, tree: ast.Call, name: str, keywords: dict[str, ast.expr], depth: int) -> Call:
        function = FUNCTIONS[name]
        given, wanted = len(tree.args), len(function.parameters)
        if keywords or given < wanted or (given > wanted and not function.is_variadic):
            raise self._arguments(tree, name)
        for index in function.literals:
            text = self._named(name, tree.args[index])
            if name == "matches":
                self._check_pattern(tree.args[index], text)
        start, end = self._source.span(tree)
        arguments = tuple(self.node(argument, depth) for argument in tree.args)
        return Call(function=name, arguments=arguments, start=start, end=end)

    def _check_pattern(self, tree: ast.expr, text: str) -> None:
        try:
            compile_pattern(text)
        except PatternError as error:
            raise self._error(tree, f"the pattern does not read: {error}", error.hint) from None

    def _within(self, keywords: dict[str, ast.expr]) -> timedelta | None:
        argument = keywords.pop("within", None)
        if argument is None:
            return None
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise self._error(argument, "`within=` takes a duration in quotes", 'write within="7d"')
        try:
            within = parse_duration(self._plain_text(argument, argument.value))
        except BadInput as error:
            raise self._error(argument, str(error)) from None
        if not within:
            raise self._error(argument, "nothing happens within no time", 'write within="7d"')
        return within

    def _aggregate(self, tree: ast.Call, name: AggregateName, keywords: dict[str, ast.expr], depth: int) -> Aggregate:
        if len(tree.args) != (1 if name in OF_EVENTS else 2):
            raise self._arguments(tree, name)
        named = [self._named(name, argument) for argument in tree.args]
        within = self._within(keywords)
        since = keywords.pop("since", None)
        where = keywords.pop("where", None)
        start, end = self._source.span(tree)
        return Aggregate(
            function=name,
            event=named[0],
            property=named[1] if len(named) > 1 else None,
            within=within,
            since=None if since is None else self.node(since, depth),
            where=None if where is None else self._where(where),
            equals=tuple((property_, self.node(value, depth)) for property_, value in keywords.items()),
            start=start,
            end=end,
        )

    def _where(self, tree: ast.expr) -> Node:
        if self._is_counted:
            raise self._error(tree, "a `where` holds no other `where`", "make a segment of the inner one")
        if not isinstance(tree, ast.Constant) or not isinstance(tree.value, str):
            raise self._error(tree, "`where=` takes an expression in quotes", 'write where="event.total > 50"')
        return _parse(self._source.inner(tree, self._plain_text(tree, tree.value)), is_counted=True)

    def _question(self, tree: ast.Call, name: str, keywords: dict[str, ast.expr]) -> Node:
        start, end = self._source.span(tree)
        within = self._within(keywords) if name == "received" else None
        if keywords or len(tree.args) != (2 if name == "consent" else 1):
            raise self._arguments(tree, name)
        named = [self._named(name, argument) for argument in tree.args]
        match name:
            case "segment":
                return InSegment(segment=named[0], start=start, end=end)
            case "consent":
                return HasConsent(channel=named[0], topic=named[1], start=start, end=end)
            case "enrolled":
                return IsEnrolled(journey=named[0], start=start, end=end)
            case _:
                return HasReceived(journey=named[0], within=within, start=start, end=end)
