"""Expressions: that they parse, name what exists where they stand, and compare what can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import ExpressionError
from engine.expressions.kinds import IN_WORDS, MOMENTS
from engine.expressions.parse import parse_expression
from engine.expressions.scope import ExpressionProblem, Scope
from engine.expressions.typing import check_expression, misfit
from engine.language.authored import Authored
from engine.language.checks.scopes import Scopes
from engine.language.conditions import Condition
from engine.language.diagnostics import Problems

#: Whatever is not named here is SJ302.
_CODES: Mapping[str, str] = {
    "syntax": "SJ301",
    "unknown_channel": "SJ101",
    "unknown_topic": "SJ102",
    "unknown_event": "SJ103",
    "unknown_attribute": "SJ104",
    "unknown_segment": "SJ105",
    "unknown_journey": "SJ106",
    "unknown_step": "SJ107",
    "unknown_property": "SJ109",
    "unknown_trigger_name": "SJ109",
}


def check(authored: Authored, problems: Problems) -> None:
    """Reports everything wrong with every expression."""
    scopes = Scopes(authored)
    for journey in authored.journeys.values():
        of_journey = scopes.of_journey(journey)
        for usage in journey.mentions.usages:
            scope = scopes.of_usage(usage, of_journey)
            _check(usage.condition, scope, problems)
            if usage.is_moment:
                _check_moment(usage.condition, scope, problems)
    for entry in authored.segments.values():
        if entry.condition:
            _check(entry.condition, scopes.everywhere, problems)


def _check(condition: Condition, scope: Scope, problems: Problems) -> None:
    found = [(piece, problem) for piece in condition.pieces for problem in check_expression(piece.text, scope)]
    for piece, problem in found:
        # Attributes come as `identify` brings them: only what looks like a misspelling is worth a word.
        if problem.code_word == "unknown_attribute" and not problem.hint.startswith("did you mean"):
            continue
        _report(problem, piece.place(problem.offset), problems)
    if not found and len(condition.pieces) > 1:
        try:
            parse_expression(condition.text)
        except ExpressionError as error:
            # Each part is sound, but together they are too long or too deep.
            problems.error("SJ301", condition.place(error.offset), str(error), error.hint)


def _check_moment(condition: Condition, scope: Scope, problems: Problems) -> None:
    kind = misfit(condition.text, scope, MOMENTS)
    if kind is not None:
        message = f"this is {IN_WORDS[kind]}, and it must be a date or a timestamp"
        hint = "such as `profile.renewal_date - days(14)`"
        problems.error("SJ303", condition.place(0), message, hint)


def _report(problem: ExpressionProblem, place: Any, problems: Problems) -> None:
    report = problems.error if problem.severity == "error" else problems.warning
    report(_CODES.get(problem.code_word, "SJ302"), place, problem.message, problem.hint)
