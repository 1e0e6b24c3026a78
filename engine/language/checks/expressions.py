"""Expressions: that they parse."""

from __future__ import annotations

from engine.errors import ExpressionError
from engine.expressions.parse import parse_expression
from engine.language.authored import Authored
from engine.language.conditions import Condition
from engine.language.diagnostics import Problems


def check(authored: Authored, problems: Problems) -> None:
    """Reports every expression that cannot be understood."""
    for journey in authored.journeys.values():
        for usage in journey.mentions.usages:
            _check_condition(usage.condition, problems)
    for entry in authored.segments.values():
        if entry.condition:
            _check_condition(entry.condition, problems)


def _check_condition(condition: Condition, problems: Problems) -> None:
    for piece in condition.pieces:
        try:
            parse_expression(piece.text)
        except ExpressionError as error:
            problems.error("SJ301", piece.place(error.offset), str(error), error.hint)
