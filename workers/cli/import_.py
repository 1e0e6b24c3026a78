"""`sojourn import profiles|events|consents`: other people's rows, each taken or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer

from engine.errors import BadInput
from workers.cli.console import counting, print_table
from workers.cli.project import ProjectFolder, open_installation
from workers.cli.why import Form

if TYPE_CHECKING:
    from engine.events.importing.importer import Tally
    from engine.events.importing.rows import Refusal, Row
    from engine.events.importing.taker import Taker
    from engine.store import Unit
    from workers.bootstrap import Installation

#: Refusals that are shown where no report was asked for.
_SHOWN = 10
#: As of an event that comes in by the API.
_EVENT_LENGTH = 200

File = Annotated[Path | None, typer.Argument(metavar="FILE", help="A .csv, .tsv, .jsonl or .parquet file.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="URL", envvar="SOJOURN_IMPORT_FROM", help="Another database, instead of a file."),
]
Query = Annotated[str | None, typer.Option("--query", metavar="SQL", help="What to select there.")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="A column is for a field; without a field: it is left out."),
]
Timezone = Annotated[
    str | None,
    typer.Option("--timezone", metavar="ZONE", help="Zone of times without an offset; default: such rows are refused."),
]
Encoding = Annotated[str | None, typer.Option("--encoding", help="Of the file; default: its mark's, else UTF-8.")]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Refused rows go here: a .jsonl or .csv file.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Try every row, and keep none.")]


def register(app: typer.Typer) -> None:
    importing = typer.Typer(help="Take in profiles, events and consents from elsewhere.", no_args_is_help=True)
    importing.command("profiles")(profiles)
    importing.command("events")(events)
    importing.command("consents")(consents)
    app.add_typer(importing, name="import")


def profiles(
    file: File = None,
    url: From = None,
    query: Query = None,
    columns: Map = None,
    timezone: Timezone = None,
    encoding: Encoding = None,
    empty: Annotated[
        Literal["keeps", "deletes"], typer.Option("--empty", help="What an empty cell does to what is known.")
    ] = "keeps",
    report: ReportFile = None,
    is_dry: DryRun = False,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Takes in profiles: id, email, phone, timezone, locale, chat.CHANNEL; every other column is an attribute."""
    from engine.events.importing.profiles import ProfileRows

    source = _Source(file=file, url=url, query=query, mapped=_mapped(columns), encoding=encoding)
    with open_installation(project) as installation:
        taker = ProfileRows(
            project=installation.project,
            intake=installation.engine.intake,
            zone=_zone(timezone),
            is_empty_deleting=empty == "deletes",
        )
        _run(installation, source, taker, report, is_dry=is_dry, form=form, options=["profiles", timezone, empty])


def events(
    file: File = None,
    url: From = None,
    query: Query = None,
    event: Annotated[
        str | None, typer.Option("--event", help="The name of every event, where no column says it.")
    ] = None,
    columns: Map = None,
    timezone: Timezone = None,
    encoding: Encoding = None,
    report: ReportFile = None,
    is_dry: DryRun = False,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Takes in events: user_id, event, timestamp, message_id, properties, properties.NAME. Old ones start nothing."""
    from engine.events.importing.events import EventRows
    from engine.events.importing.history import History

    source = _Source(file=file, url=url, query=query, mapped=_mapped(columns), encoding=encoding)
    if event is not None and not (event.strip() and event.isprintable() and len(event) <= _EVENT_LENGTH):
        raise BadInput(f"--event must be the name of an event, of at most {_EVENT_LENGTH} characters")
    with open_installation(project) as installation:
        engine = installation.engine
        taker = EventRows(
            project=installation.project,
            intake=engine.intake,
            history=History(engine.plans, engine.facts, engine.dues),
            zone=_zone(timezone),
            event=event,
        )
        _run(installation, source, taker, report, is_dry=is_dry, form=form, options=["events", timezone, event])


def consents(
    file: File = None,
    url: From = None,
    query: Query = None,
    columns: Map = None,
    timezone: Timezone = None,
    encoding: Encoding = None,
    report: ReportFile = None,
    is_dry: DryRun = False,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Takes in grants with their evidence, withdrawals, objections and blocked addresses (column `action`)."""
    from engine.events.importing.consents import ConsentRows

    source = _Source(file=file, url=url, query=query, mapped=_mapped(columns), encoding=encoding)
    with open_installation(project) as installation:
        taker = ConsentRows(
            project=installation.project,
            project_key=installation.project_key,
            intake=installation.engine.intake,
            ledger=installation.engine.ledger,
            label=file.name if file else "query",
            zone=_zone(timezone),
        )
        _run(installation, source, taker, report, is_dry=is_dry, form=form, options=["consents", timezone])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Where the rows come from."""

    file: Path | None
    url: str | None
    query: str | None
    mapped: dict[str, str]
    encoding: str | None


def _run(
    installation: Installation,
    source: _Source,
    taker: Taker[Any],
    report_path: Path | None,
    *,
    is_dry: bool,
    form: str,
    options: list[str | None],
) -> None:
    from engine.events.importing.columns import Columns
    from engine.events.importing.importer import Importer, Tally
    from workers.importing.mark import import_id, marked, resumed
    from workers.importing.report import Report

    if report_path and source.file and report_path.exists() and report_path.samefile(source.file):
        raise BadInput(f"--report {report_path} is the file that is read: name another")
    columns = Columns(mapped=source.mapped, aliases=taker.aliases, fields=taker.fields)
    store, shown, mark_id = installation.store, list[Any](), None
    with ExitStack() as open_:
        headings, rows, label, total, position = open_.enter_context(_opened(source))
        first = next(rows, None)
        columns.check_kind(taker.kind, headings or (first.cells if first else ()))
        if headings is not None:
            columns.check(headings, taker.needed([columns.field_of(each) for each in headings]))
        tally, size = Tally(), 0
        # The rows of a query may come in another order the next time.
        if source.file is not None and not is_dry:
            named = [*options, source.encoding, sorted(source.mapped.items()), report_path and report_path.resolve()]
            mark_id = import_id(source.file, named)
            with store.transaction() as unit:
                tally, size = resumed(unit.imports.find(mark_id), report_path)
        report = open_.enter_context(Report(report_path, size=size)) if report_path else None
        continued_after = tally.rows
        advance = open_.enter_context(counting(label, total))
        importer = Importer(store, taker, columns, installation.clock, is_dry=is_dry)

        def keep(unit: Unit, refusals: Sequence[Refusal], now: datetime) -> None:
            # What the report has more than the mark says is of a batch that was lost.
            written = report.add(refusals) if report else 0
            if mark_id:
                unit.imports.save(marked(mark_id, tally, written, now))

        for refusals in importer.run(chain([first] if first else [], rows), tally, keep):
            shown += refusals[: _SHOWN - len(shown)]
            advance(position(), f"{tally.rows:,} rows")
        if mark_id:
            with store.transaction() as unit:
                unit.imports.remove(mark_id)
    fields = {column: columns.field_of(column) for column in (headings or importer.seen)}
    unused = [column for column, name in fields.items() if not taker.knows(name)]
    others = [column for column, name in fields.items() if taker.knows(name) and not taker.is_catalogued(name)]
    _tell(tally, shown, continued_after, unused, others, form=form, is_dry=is_dry, report=report_path)
    if tally.refusals:
        raise typer.Exit(1)


@contextmanager
def _opened(source: _Source) -> Iterator[tuple[Sequence[str] | None, Iterator[Row], str, int | None, Any]]:
    """Headings, rows, what to call them, the size of it all where it is known, and how much of it was read."""
    from engine.events.importing.files import open_rows
    from engine.events.importing.rows import Row
    from engine.storage import foreign

    if source.file is not None and (source.url or source.query):
        raise BadInput("give a FILE, or --from with --query: not both")
    if source.file is not None:
        with open_rows(source.file, encoding=source.encoding) as file:
            yield file.headings, file.rows, source.file.name, source.file.stat().st_size, file.position
        return
    if not source.url or not source.query:
        raise BadInput("give a FILE, or another database by --from URL with --query SQL")
    with foreign.query(source.url, source.query) as result:
        rows = (Row(number=number, cells=cells) for number, cells in enumerate(result.rows, 1))
        yield result.columns, rows, "query", None, lambda: 0


def _tell(
    tally: Tally,
    shown: Sequence[Refusal],
    continued_after: int,
    unused: Sequence[str],
    others: Sequence[str],
    *,
    form: str,
    is_dry: bool,
    report: Path | None,
) -> None:
    if form == "json":
        document = {
            **tally.as_json(),
            "is_dry_run": is_dry,
            "continued_after": continued_after,
            "unused_columns": list(unused),
            "uncatalogued_columns": list(others),
            "report": str(report) if report else None,
        }
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    if continued_after:
        typer.echo(f"Went on after row {continued_after:,}, where the last attempt was.")
    if unused:
        typer.echo(f"Columns left out: {', '.join(unused)}")
    if others:
        typer.echo(f"Attributes that `sojourn.yml` does not name: {', '.join(others)}")
    words = "Would take" if is_dry else "Took"
    typer.echo(
        f"{words} {tally.taken:,} of {tally.rows:,} rows; {tally.unchanged:,} were known, {tally.refusals:,} refused."
    )
    if tally.refusals and report:
        typer.echo(f"What was refused, and why: {report}")
    elif tally.refusals:
        rows = [(each.row, each.column or "", each.code, each.message) for each in shown]
        print_table(("row", "column", "code", "why"), rows, empty="")
        if tally.refusals > len(shown):
            typer.echo(f"… and {tally.refusals - len(shown):,} more: --report FILE writes them all.")


def _mapped(options: Sequence[str] | None) -> dict[str, str]:
    mapped: dict[str, str] = {}
    for option in options or ():
        column, separator, name = option.rpartition("=")
        if not separator or not column:
            raise BadInput("--map must be COLUMN=FIELD, such as --map E-Mail=email")
        mapped[column] = name
    return mapped


def _zone(name: str | None) -> ZoneInfo | None:
    from engine.schedule import find_zone

    if name is None:
        return None
    zone = find_zone(name)
    if zone is None:
        raise BadInput("--timezone is unknown: write an IANA name such as Europe/Madrid")
    return zone
