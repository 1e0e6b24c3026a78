"""The filters that templates may use: Jinja2's own that are safe, bounded versions of those that are not, and ours.

Left out on purpose: `safe` (it would let a person's data into the HTML), `random` (a repeated rendering must give the
same message), and what pads to any width (`center`, `indent`, `format`, `wordwrap`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from jinja2 import filters as jinja
from jinja2 import pass_context, pass_eval_context
from jinja2.nodes import EvalContext
from jinja2.runtime import Context

from engine.rendering.sandbox import MAX_OUTPUT, TooMuch, built, current_locale

_KEPT = (  # noqa: SIM905 (read as words)
    "abs capitalize count d default dictsort e escape first float forceescape groupby int items last length list lower "
    "map max min reject rejectattr reverse select selectattr sort string striptags title trim unique upper urlencode "
    "wordcount"
).split()

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CHF": "CHF"}
#: Languages that write 1.234,50 € rather than €1,234.50.
_COMMA = frozenset("ca cs da de el es eu fi fr gl hr hu id it nb nl pl pt ro ru sk sl sv tr uk".split())  # noqa: SIM905
_NO_BREAK_SPACE = "\u00a0"
_DATE_PARTS = re.compile(r"%[dmYyHM]")
_MAX_FORM = 40


@pass_eval_context
def _join(eval_ctx: EvalContext, values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    # In pieces: the whole would be built before anyone could say that it is too much.
    parts: list[Any] = []
    length = 0
    for item in values:
        value = item[attribute] if attribute else item
        length += len(str(value)) + len(separator)
        if length > MAX_OUTPUT:
            raise TooMuch
        parts.append(value)
    return built(jinja.sync_do_join(eval_ctx, parts, separator))


@pass_eval_context
def _replace(eval_ctx: EvalContext, text: str, old: str, new: str) -> str:
    if str(text).count(old) * len(new) > MAX_OUTPUT:
        raise TooMuch
    return built(jinja.do_replace(eval_ctx, text, old, new))


def _truncate(text: str, length: int = 255) -> str:
    """At most `length` characters, cut between words, with an ellipsis."""
    if len(text) <= length:
        return text
    cut = text[: max(length, 1)]
    return (cut.rpartition(" ")[0].rstrip() if " " in cut else cut[:-1]) + "…"


def _round(number: float, precision: int = 0) -> float:
    if not 0 <= precision <= 15:
        raise TooMuch
    return round(number, precision)


def _sum(values: Iterable[Any], attribute: str | None = None) -> float:
    members = (value[attribute] for value in values) if attribute else values
    return sum(member for member in members if isinstance(member, int | float))


def _batch(values: Iterable[Any], size: int) -> Iterable[list[Any]]:
    if size < 1:
        raise TooMuch
    rest = iter(values)
    while row := list(islice(rest, size)):
        yield row


@pass_context
def _money(_context: Context, amount: float, currency: str = "EUR") -> str:
    """An amount as the text's readers write it: €1,234.50, or 1.234,50 €.

    It takes the context, of which it has no need, so that a constant amount is not written once for all languages.
    """
    symbol = _SYMBOLS.get(currency, currency)
    written = f"{abs(float(amount)):,.2f}"
    sign = "-" if amount < 0 else ""
    if current_locale().split("-")[0] in _COMMA:
        return f"{sign}{written.translate(str.maketrans(',.', '.,'))}{_NO_BREAK_SPACE}{symbol}"
    return f"{sign}{symbol}{written}" if len(symbol) == 1 else f"{sign}{symbol}{_NO_BREAK_SPACE}{written}"


def _date(value: str, form: str = "%d/%m/%Y") -> str:
    """An ISO 8601 date or time in another form, made of `%d %m %Y %y %H %M`."""
    moment = datetime.fromisoformat(value)
    return _DATE_PARTS.sub(lambda part: moment.strftime(part.group()), form[:_MAX_FORM])


FILTERS: Mapping[str, Callable[..., Any]] = {
    **{name: jinja.FILTERS[name] for name in _KEPT},
    "batch": _batch,
    "date": _date,
    "join": _join,
    "money": _money,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "truncate": _truncate,
}
