"""What is found out about a template without rendering it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.language.source import ListNode
from engine.rendering.front_matter import TemplateProblem


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
    #: Those of its text files that neither say STOP, in words or in an include, nor link to either.
    without_stop: tuple[str, ...] = ()
    #: Those of its HTML files that have no `subject`.
    without_subject: tuple[str, ...] = ()
    #: What each of its text files says to everybody: what stands outside of names, conditions, loops and includes.
    said: Mapping[str, str] = field(default_factory=dict)
    #: The `blocks` of each file that has any.
    blocks: Mapping[str, ListNode] = field(default_factory=dict)
