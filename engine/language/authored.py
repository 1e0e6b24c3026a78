"""A whole project as authored: every file read once, with what each mentions. Checks look at this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NotFound
from engine.language.adapters import AdapterInfo
from engine.language.diagnostics import Problems, Span, related
from engine.language.journey_file import JourneyFile, read_journey_file
from engine.language.project_file import FILE, ProjectFile, read_project_file
from engine.language.segments_file import SegmentEntry, read_segments_file
from engine.language.source import Node, read_source

_SEGMENTS = "segments"
_TESTS = "tests"


@dataclass(frozen=True, kw_only=True, slots=True)
class Authored:
    """The readable part of a project; what could not be read has been reported."""

    root: Path
    project: ProjectFile
    #: By name; of two with one name the first.
    journeys: Mapping[str, JourneyFile]
    segments: Mapping[str, SegmentEntry]
    #: What is registered, by name.
    adapters: Mapping[str, AdapterInfo]


def read_project(
    root: Path, environ: Mapping[str, str], adapters: Mapping[str, AdapterInfo], problems: Problems
) -> Authored | None:
    """The project; None where `sojourn.yml` cannot be read at all. Raises NotFound where there is none."""
    path = root / FILE
    if not path.is_file():
        raise NotFound(f"there is no project in {root}: no file {FILE}")
    documents = _documents(root, path, problems)
    if len(documents) != 1:
        # A file that is not YAML has been reported as such.
        if not problems.sorted():
            message = f"{FILE} holds {len(documents)} documents"
            problems.error("SJ212", Span(file=FILE, line=1, column=1), message, "it is one document")
        return None
    project = read_project_file(documents[0], root, environ, adapters, problems)
    if project is None:
        return None
    folder = root / "journeys"
    return Authored(
        root=root,
        project=project,
        journeys=_journeys(root, folder, problems),
        segments=_segments(root, folder / _SEGMENTS, problems),
        adapters=adapters,
    )


def read_scenarios(root: Path, problems: Problems) -> None:
    """Reports what is wrong with the YAML of scenario files; their meaning is the test runner's."""
    for path in _files(root / "journeys" / _TESTS):
        _documents(root, path, problems)


def _journeys(root: Path, folder: Path, problems: Problems) -> dict[str, JourneyFile]:
    journeys: dict[str, JourneyFile] = {}
    for path in _files(folder, but=(folder / _SEGMENTS, folder / _TESTS)):
        for document in _documents(root, path, problems):
            journey = read_journey_file(document, problems)
            if journey is None:
                continue
            first = journeys.setdefault(journey.plan.journey, journey)
            if first is not journey:
                message = f"two journeys are called `{journey.plan.journey}`"
                hint = "give one of them another name"
                problems.error("SJ110", journey.name, message, hint, [related(first.name, "first here")])
    return journeys


def _segments(root: Path, folder: Path, problems: Problems) -> dict[str, SegmentEntry]:
    segments: dict[str, SegmentEntry] = {}
    for path in _files(folder):
        for document in _documents(root, path, problems):
            for entry in read_segments_file(document, problems):
                first = segments.setdefault(entry.name, entry)
                if first is not entry:
                    message = f"two segments are called `{entry.name}`"
                    hint = "give one of them another name"
                    problems.error("SJ112", entry.key, message, hint, [related(first.key, "first here")])
    return segments


def _files(folder: Path, but: tuple[Path, ...] = ()) -> list[Path]:
    """The YAML files below a folder, sorted; hidden ones, and what editors leave behind, are none."""
    found = (path for pattern in ("*.yml", "*.yaml") for path in folder.rglob(pattern))
    return sorted(
        path
        for path in found
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not any(path.is_relative_to(each) for each in but)
    )


def _documents(root: Path, path: Path, problems: Problems) -> tuple[Node, ...]:
    file = path.relative_to(root).as_posix()
    try:
        content = path.read_bytes()
    except OSError as error:
        place = Span(file=file, line=1, column=1)
        problems.error("SJ012", place, f"the file cannot be read: {error.strerror}")
        return ()
    return read_source(file, content, problems).documents
