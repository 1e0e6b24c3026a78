"""Comparisons and questions between values in SQL, by the rules of `engine.expressions.values`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Literal

from sqlalchemy import Text, and_, case, false, func, literal

from engine.expressions.nodes import Comparison
from engine.expressions.values import NUMBERS, as_moment
from engine.profiles.model import Value
from engine.storage.segments.documents import Json
from engine.storage.segments.fields import Field
from engine.storage.segments.terms import (
    SIGNS,
    Amount,
    Known,
    Opaque,
    Truth,
    Words,
    add_amounts,
    amount_of,
    compare_amounts,
    is_text_for_sql,
    truth_of_amount,
)
from engine.storage.segments.terms import missing as missing_amount
from engine.storage.segments.verdicts import (
    NEVER,
    UNKNOWN,
    AtLeast,
    Sql,
    Verdict,
    all_of,
    any_of,
    constant,
    negated,
    where_sure,
)

Term = Known | Field | Amount | Words | Truth | Opaque

_SHORTEST_DATE = 10
_OPERATORS: Mapping[Comparison, Callable[[Sql, Sql], Sql]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def missing(term: Term) -> Verdict:
    """Whether a value is missing."""
    match term:
        case Known():
            return constant(term.value is None)
        case Field():
            return term.missing
        case Amount():
            return missing_amount(term)
        case Words():
            return where_sure(term.sure, term.text.is_(None))
        case Truth():
            return NEVER
        case Opaque():
            return UNKNOWN


def truth(term: Term) -> Verdict:
    """Whether a value is true."""
    match term:
        case Known():
            return constant(bool(term.value))
        case Field():
            return term.truth()
        case Amount():
            return truth_of_amount(term)
        case Words():
            return where_sure(term.sure, func.coalesce(term.text != "", false()))
        case Truth():
            return term.verdict
        case Opaque():
            return UNKNOWN


def compare(json: Json, left: Term, sign: Comparison, right: Term) -> Verdict:
    """`==` and the ordered comparisons."""
    if isinstance(left, Known) and not isinstance(right, Known):
        return compare(json, right, SIGNS[sign], left)
    match left, right:
        case (_, Known(value=None)) | (Known(value=None), _):
            return NEVER
        case Known(), Known():  # one of them depends on the zone
            return _compare_amounts(amount_of(left.value), sign, amount_of(right.value))
        case Field(), Known():
            return _compare_field(json, left, sign, right.value)
        case Words(), Known():
            return _compare_words(json, left, sign, right.value)
        case Truth(), Known():
            is_boolean = sign == "==" and isinstance(right.value, bool)
            return _same_truth(left.verdict, constant(right.value)) if is_boolean else NEVER
        case Amount(), Known():
            if isinstance(right.value, str | list | bool) and as_moment(right.value) is None:
                return NEVER
            return _compare_amounts(left, sign, amount_of(right.value))
        case Amount(), Amount():
            return compare_amounts(left, sign, right)
        case Field(), Field():
            return _compare_fields(left, sign, right)
        case (Field() as field, Amount() as amount) | (Amount() as amount, Field() as field):
            sign = sign if field is left else SIGNS[sign]
            return compare_amounts(_as_amount(field, amount), sign, amount)
        case Truth(), Truth():
            return _same_truth(left.verdict, right.verdict) if sign == "==" else NEVER
        case (Truth(), Amount() | Words()) | (Amount() | Words(), Truth()):
            return NEVER
        case _:
            return _open(left, right)


def _open(*terms: Term) -> Verdict:
    """Nothing is known, but that it is false where a value is missing."""
    return all_of([*(negated(missing(term)) for term in terms), UNKNOWN])


def _compare_amounts(left: Amount | None, sign: Comparison, right: Amount | None) -> Verdict:
    return UNKNOWN if left is None or right is None else compare_amounts(left, sign, right)


def _as_amount(field: Field, other: Amount) -> Amount:
    """The field as what it is compared with; a span is never stored, and then the comparison is false of the number."""
    return field.as_moment() if other.dimension == "moment" else field.as_number()


def _same_truth(left: Verdict, right: Verdict) -> Verdict:
    return any_of([all_of([left, right]), all_of([negated(left), negated(right)])])


def _compare_fields(left: Field, sign: Comparison, right: Field) -> Verdict:
    are_numbers = all_of([left.is_of("integer", "real"), right.is_of("integer", "real")])
    return any_of(
        [
            all_of([are_numbers, compare_amounts(left.as_number(), sign, right.as_number())]),
            all_of([negated(are_numbers), _open(left, right)]),
        ]
    )


def _compare_field(json: Json, field: Field, sign: Comparison, value: Value) -> Verdict:
    if isinstance(value, bool):
        return field.is_equal(value) if sign == "==" else NEVER
    if isinstance(value, str):
        return _compare_words(json, field.as_words(), sign, value)
    if isinstance(value, list | tuple | Mapping):
        kind = "object" if isinstance(value, Mapping) else "array"
        return all_of([field.is_of(kind), UNKNOWN]) if sign == "==" else NEVER
    if isinstance(value, timedelta):
        return NEVER
    amount = amount_of(value)
    if amount is None:
        kinds = ("integer", "real") if type(value) in NUMBERS else ("text",)
        return all_of([field.is_of(*kinds), UNKNOWN])
    return compare_amounts(_as_amount(field, amount), sign, amount)


def _compare_words(json: Json, words: Words, sign: Comparison, value: Value) -> Verdict:
    if isinstance(value, date):
        return _open(words)
    if not isinstance(value, str):
        return NEVER
    if not is_text_for_sql(value):
        return _open(words)
    wanted = literal(value, Text)
    holds = _OPERATORS[sign](json.by_code_point(words.text), wanted)
    if as_moment(value) is None:
        return where_sure(words.sure, func.coalesce(holds, false()))
    # Two texts that write the same moment in different ways are equal: memory reads them.
    decided = case(
        (words.text.is_(None), false()),
        (words.text == wanted, holds),
        (func.length(words.text) < _SHORTEST_DATE, holds),
    )
    return AtLeast(decided if words.sure is None else case((words.sure, decided)))


# ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────────
def as_words(term: Term) -> Words | None:
    """A term as a text; None where a database cannot tell."""
    match term:
        case Words():
            return term
        case Field():
            return term.as_words()
        case _:
            return None


def holds(json: Json, holder: Term, item: Term, *, in_objects: bool) -> Verdict:
    """`item in holder`: a part of a text, an item of a list, and where `in_objects` a name of an object."""
    if not isinstance(item, Known) or not isinstance(holder, Field | Words):
        return UNKNOWN if not isinstance(item, Known) or item.value is not None else NEVER
    if item.value is None:
        return NEVER
    words = as_words(holder)
    assert words is not None
    part = item.value
    if not isinstance(part, str):
        return all_of([holder.is_of("array"), UNKNOWN]) if isinstance(holder, Field) else NEVER
    if not is_text_for_sql(part):
        return _open(holder)
    found = [where_sure(words.sure, func.coalesce(json.position(words.text, part) > 0, false()))]
    if isinstance(holder, Field):
        if as_moment(part) is None:
            array = case((holder.kind == "array", holder.content))
            found.append(where_sure(holder.sure, and_(array.is_not(None), json.holds_text(array, part))))
        else:
            found.append(all_of([holder.is_of("array"), UNKNOWN]))
        if in_objects:
            found.append(all_of([holder.is_of("object"), UNKNOWN]))
    return any_of(found)


def begins(words: Words, part: str) -> Verdict:
    """`starts_with`"""
    if not is_text_for_sql(part):
        return _open(words)
    if not part:
        return negated(missing(words))
    start = func.substr(words.text, 1, len(part))
    return where_sure(words.sure, func.coalesce(start == literal(part, Text), false()))


def ends(words: Words, part: str) -> Verdict:
    """`ends_with`"""
    if not is_text_for_sql(part):
        return _open(words)
    if not part:
        return negated(missing(words))
    end = func.substr(words.text, func.length(words.text) - len(part) + 1)
    is_long_enough = func.length(words.text) >= len(part)
    return where_sure(words.sure, func.coalesce(and_(is_long_enough, end == literal(part, Text)), false()))


def is_text(term: Words) -> Verdict:
    """A question about a text that only memory can answer: false of what is no text."""
    return _open(term)


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────────────────────────────
def add(left: Term, sign: Literal["+", "-"], right: Term) -> Term:
    """Moments and spans added and subtracted; other sums are memory's."""
    first, second = _summand(left), _summand(right)
    if isinstance(left, Field) and isinstance(second, Amount):
        first = left.as_moment()
    elif isinstance(right, Field) and isinstance(first, Amount):
        second = right.as_moment()
    if first is None or second is None:
        return Opaque()
    return add_amounts(first, sign, second) or Opaque()


def _summand(term: Term) -> Amount | None:
    match term:
        case Amount():
            return term if term.dimension != "number" else None
        case Known():
            amount = amount_of(term.value)
            return amount if amount is not None and amount.dimension != "number" else None
        case _:
            return None


def as_moment_amount(term: Term) -> Amount | None:
    """A term as a moment; None where a database cannot tell, or it is of another dimension."""
    amount = term.as_moment() if isinstance(term, Field) else _summand(term)
    return amount if amount is not None and amount.dimension == "moment" else None
