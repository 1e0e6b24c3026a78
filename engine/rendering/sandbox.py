"""Jinja2 as our templates may use it: plain values in, bounded work, and nothing that an author could break out with.

Jinja2's immutable sandbox keeps a template away from Python's insides. It does not keep it from eating a worker, so:

- A rendering has a budget of loop passes, calls and includes, and a deadline that every so many of them look at. A
  timer would need the main thread, and messages are rendered in a pool.
- Between two looks nothing can take long, because nothing can be large: whatever builds text or lists (`~`, `+`, `*`,
  literals, our filters) refuses to build more than the output may hold. Powers and formatting are bounded likewise.
- Methods and filters are lists of what is allowed, so a new one in a new Jinja2 changes nothing here.

A dot on a mapping reads a key and nothing else: `trigger.items` is the cart's items, never Python's `dict.items`.
A missing name is false in a condition, takes `| default(…)`, and is an error anywhere else; so is its every member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, TemplateAssertionError, Undefined, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import Template, TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from markupsafe import soft_str

#: Characters of a rendered part.
MAX_OUTPUT = 256 * 1024
#: Loop passes, calls and includes of one rendering.
MAX_STEPS = 100_000
MAX_SECONDS = 2.0
#: The processor's clock is a call of the system, and most messages take fewer steps than this.
_STEPS_BETWEEN_LOOKS = 16
#: Characters that one rendering may print in all, macros and set blocks counted each time they are passed on.
MAX_PRINTED = 8 * MAX_OUTPUT
MAX_RANGE = 10_000
_MAX_BITS = 4096

_TEXT_METHODS = frozenset(
    ["upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "startswith", "endswith", "split"]
)
_GROUP_FIELDS = frozenset(["grouper", "list"])
#: Jinja2's own objects, whose public members are harmless.
_OWN = (LoopContext, Namespace, Cycler, Joiner, Macro, TemplateReference, BlockReference, TemplateModule)
#: No author can write a filter's name with a space in it.
_METERED = " metered"


class TooMuch(Exception):
    """A template that does or prints more than a message needs."""


class NotText(Exception):
    """A template prints something that is not text: a list, a mapping, nothing."""


class Rendering:
    """What one rendering has left."""

    __slots__ = ("_ends_at", "_print_left", "_steps_left", "locale")

    def __init__(self, locale: str) -> None:
        self.locale = locale
        self._steps_left = MAX_STEPS
        self._print_left = MAX_PRINTED
        #: None until the first look.
        self._ends_at: float | None = None

    def step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise TooMuch
        if self._steps_left % _STEPS_BETWEEN_LOOKS == 0:
            self._look()

    def _look(self) -> None:
        # Time of the processor, not of the wall: who is made to wait on a busy machine has not done too much.
        now = thread_time()
        if self._ends_at is None:
            self._ends_at = now + MAX_SECONDS
        elif now > self._ends_at:
            raise TooMuch

    def print(self, length: int) -> None:
        self._print_left -= length
        if self._print_left < 0:
            raise TooMuch


_RENDERING: ContextVar[Rendering | None] = ContextVar("rendering", default=None)


@contextmanager
def rendering(locale: str) -> Iterator[None]:
    """Gives everything rendered inside one budget."""
    token = _RENDERING.set(Rendering(locale))
    try:
        yield
    finally:
        _RENDERING.reset(token)


def current_locale() -> str:
    """The locale of the rendering under way; empty while a template is being compiled."""
    under_way = _RENDERING.get()
    return under_way.locale if under_way else ""


def built(text: str) -> str:
    """Text that a filter made, counted."""
    if len(text) > MAX_OUTPUT:
        raise TooMuch
    under_way = _RENDERING.get()
    if under_way:
        under_way.print(len(text))
    return text


def located(text: str, line: int) -> str:
    """The text behind a comment of so many lines that what is said about it names the file's own lines."""
    return f"{{#{chr(10) * (line - 1)}#}}{text}"


def weigh(value: Any) -> int:
    """Characters and items of a value, nested ones too; raises `TooMuch` beyond what the output may hold."""
    total = 0
    stack = [value]
    while stack:
        item = stack.pop()
        total += 1
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        if total > MAX_OUTPUT:
            raise TooMuch
    return total


class Missing(StrictUndefined):
    """A name without a value. False in a condition; any other use but `| default(…)` is an error."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __getitem__(self, key: Any) -> Missing:  # type: ignore[override]
        return self


class _Code(CodeGenerator):
    """Leads what builds text and lists through the environment, which knows how much is too much."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.join_texts((")
        for each in node.nodes:
            self.visit(each, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self.write("environment.weighed(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self.write("environment.weighed(")
        super().visit_Dict(node, frame)
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        is_value = node.ctx == "load"
        self.write("environment.weighed(" if is_value else "")
        super().visit_Tuple(node, frame)
        self.write(")" if is_value else "")


@pass_context
def _metered(_context: Context, values: Iterable[Any]) -> Iterator[Any]:
    under_way = _RENDERING.get()
    for value in values:
        if under_way:
            under_way.step()
        yield value


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise TooMuch
    return numbers


def _printed(value: Any) -> Any:
    """What stands between `{{` and `}}`, on its way out."""
    if isinstance(value, str):
        under_way = _RENDERING.get()
        if under_way:
            under_way.print(len(value))
        return value
    if isinstance(value, int | float | Undefined):
        return value
    raise NotText


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment for one kind of text: escaped (`html`) or plain (`txt`)."""

    code_generator_class = _Code
    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(
        self, loader: BaseLoader, filters: Mapping[str, Callable[..., Any]], *, is_html: bool, cache_size: int = 1000
    ) -> None:
        super().__init__(
            loader=loader,
            autoescape=is_html,
            undefined=Missing,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=cache_size,
        )
        self.filters = {**filters, _METERED: _metered}
        self.globals = {"range": _range, "namespace": Namespace, "cycler": Cycler, "joiner": Joiner}

    # ── compiling ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        for node in list(source.find_all((nodes.For, nodes.ScopedEvalContextModifier))):
            if isinstance(node, nodes.For):
                if node.recursive:
                    raise TemplateAssertionError("recursive loops are not available", node.lineno, name, filename)
                node.iter = nodes.Filter(node.iter, _METERED, [], [], None, None, lineno=node.lineno, environment=self)
            else:
                raise TemplateAssertionError("`autoescape` cannot be changed", node.lineno, name, filename)
        return super()._generate(source, name, filename, defer_init)

    # ── what compiled templates call ─────────────────────────────────────────────────────────────────────────────────
    def get_template(self, name: str | Template, parent: str | None = None, globals: Any = None) -> Template:
        self._step()
        return super().get_template(name, parent, globals)

    def select_template(self, names: Any, parent: str | None = None, globals: Any = None) -> Template:
        self._step()
        return super().select_template(names, parent, globals)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._step()
        return super().call(context, obj, *args, **kwargs)

    def concat(self, parts: Iterable[str]) -> str:
        """The text of the parts, which a rendering hands over one by one."""
        texts = []
        length = 0
        for part in parts:
            length += len(part)
            if length > MAX_OUTPUT:
                raise TooMuch
            texts.append(part)
        return "".join(texts)

    def join_texts(self, parts: Iterable[Any]) -> str:
        """`a ~ b ~ c`."""
        texts = [soft_str(_printed(part)) for part in parts]
        if sum(map(len, texts)) > MAX_OUTPUT:
            raise TooMuch
        return markup_join(texts) if self.autoescape else str_join(texts)

    def weighed(self, value: Any) -> Any:
        """A list, tuple or mapping that the template wrote, small enough."""
        weigh(value)
        return value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._step()
        match operator:
            case "%" if isinstance(left, str):
                raise SecurityError
            case "**":
                if not isinstance(right, int | float) or abs(right) > 64 or not -(10**6) <= left <= 10**6:
                    raise TooMuch
            case "*":
                _check_product(left, right)
                _check_product(right, left)
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, str | list | tuple):
            weigh(result)
        return result

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(name=attribute)
        if isinstance(obj, Missing):
            return obj
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            return obj[argument]
        except (TypeError, LookupError):
            # Without a name: a computed key may be somebody's data, and errors say no data.
            return self.undefined("a value is missing")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, tuple):
            return attr in _GROUP_FIELDS
        return isinstance(obj, _OWN) and super().is_safe_attribute(obj, attr, value)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:  # noqa: ARG002
        raise SecurityError

    def wrap_str_format(self, value: Any) -> None:
        """None: `str.format` could pad to any width, so it is no method of ours."""

    def _step(self) -> None:
        under_way = _RENDERING.get()
        if under_way:
            under_way.step()


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, str | list | tuple) and isinstance(right, int):
        if weigh(left) * max(right, 0) > MAX_OUTPUT:
            raise TooMuch
    elif isinstance(left, int) and left.bit_length() > _MAX_BITS:
        raise TooMuch
