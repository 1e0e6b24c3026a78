"""From authored files to a project that runs, or to everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import ProjectError
from engine.language.adapters import AdapterInfo
from engine.language.authored import Authored, read_project, read_scenarios
from engine.language.checks import (
    attachments,
    calls,
    catalogue,
    cycles,
    expressions,
    names,
    order,
    reach,
    repeats,
    reports,
    sending,
    starts,
    swings,
    templates,
    times,
    values,
)
from engine.language.diagnostics import Diagnostic, Problems
from engine.project import Project

#: Each looks at the whole project; the order does not matter, since problems are sorted.
_CHECKS = (
    attachments.check,
    calls.check,
    catalogue.check,
    cycles.check,
    expressions.check,
    names.check,
    order.check,
    reach.check,
    repeats.check,
    reports.check,
    sending.check,
    starts.check,
    swings.check,
    templates.check,
    times.check,
    values.check,
)


def load_project(root: Path, environ: Mapping[str, str], adapters: Mapping[str, AdapterInfo]) -> Project:
    """The compiled project. Raises ProjectError with every diagnostic where one of them is an error.

    Raises NotFound where `root` holds no `sojourn.yml`.
    """
    project, found = compile_project(root, environ, adapters)
    if project is None:
        raise ProjectError(found)
    return project


def check_project(root: Path, environ: Mapping[str, str], adapters: Mapping[str, AdapterInfo]) -> list[Diagnostic]:
    """Every problem of every file, sorted by place. Raises NotFound where `root` holds no `sojourn.yml`.

    Of scenarios it reads the YAML alone: what they say is the test runner's to check.
    """
    problems = Problems()
    _checked(root, environ, adapters, problems)
    read_scenarios(root, problems)
    return problems.sorted()


def compile_project(
    root: Path, environ: Mapping[str, str], adapters: Mapping[str, AdapterInfo]
) -> tuple[Project | None, list[Diagnostic]]:
    """The project, or None where a problem is an error; and every problem of what makes it up."""
    problems = Problems()
    authored = _checked(root, environ, adapters, problems)
    found = problems.sorted()
    is_sound = authored is not None and not any(each.is_error for each in found)
    return (_compiled(authored) if authored is not None and is_sound else None), found


def _checked(
    root: Path, environ: Mapping[str, str], adapters: Mapping[str, AdapterInfo], problems: Problems
) -> Authored | None:
    authored = read_project(root, environ, adapters, problems)
    if authored is not None:
        for check in _CHECKS:
            check(authored, problems)
    return authored


def _compiled(authored: Authored) -> Project:
    file = authored.project
    segments = {name: entry.segment() for name, entry in authored.segments.items()}
    return Project(
        name=file.name,
        root=authored.root,
        timezone=file.timezone,
        locale=file.locale,
        database=file.database,
        channels=file.channels,
        topics=file.topics,
        caps=file.caps,
        quiet_hours=file.quiet_hours,
        events=file.events,
        attributes=file.attributes,
        segments={name: segment for name, segment in segments.items() if segment},
        plans={name: journey.plan for name, journey in authored.journeys.items()},
        allowed_hosts=file.allowed_hosts,
        tracking=file.tracking,
    )
