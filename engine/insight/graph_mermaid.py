"""A journey as Mermaid text: what wikis and code hosts draw by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.insight.graph_words import details, heading, notes, trigger_words, ways_out
from engine.plan.model import Branch, ExitStep, Plan, Repeat, Split, Step, Wait, WaitFor

#: What means something to Mermaid inside a quoted label, as the entities that it understands.
_ENTITIES = str.maketrans({"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"})


def mermaid(plan: Plan) -> str:
    """The flowchart: triggers, steps, the ways between them, and a note of entry, exits and goal."""
    names = {step_id: f"s{number}" for number, step_id in enumerate(plan.steps, 1)}
    lines = [f"%% {plan.journey}: {plan.title}".replace("\n", " "), "flowchart TD"]
    for number, trigger in enumerate(plan.triggers, 1):
        lines.append(f"    t{number}([{_quoted(trigger_words(trigger))}]) --> {names.get(plan.first or '', 'done')}")
    lines += [f"    {names[step.step_id]}{_shaped(step)}" for step in plan.steps.values()]
    for step in plan.steps.values():
        lines += _arrows(step, names)
    if any(line.endswith(" done") for line in lines):
        lines.append('    done(["completed"])')
    told = [line for note in notes(plan) for line in (note.heading, *(f"· {each}" for each in note.lines))]
    lines.append(f"    note[{'<br>'.join(_escaped(line) for line in told).join(chr(34) * 2)}]")
    lines.append("    style note fill:#fdf8e8,stroke:#d9c78f,text-align:left")
    return "\n".join(lines) + "\n"


def _arrows(step: Step, names: Mapping[str, str]) -> Iterator[str]:
    here, following = names[step.step_id], _place(step.next, names)
    match step:
        case ExitStep():
            return
        case Repeat():
            if step.body is not None:
                yield f"    {here} -->|{_quoted('each pass')}| {names[step.body]}"
            yield f"    {here} -->|{_quoted('after the last')}| {following}"
        case _:
            ways = ways_out(step)
            if not ways:
                yield f"    {here} --> {following}"
            for number, way in enumerate(ways, 1):
                if way.ends is not None:
                    target = f"{here}x{number}([{_quoted(f'exit {way.ends}')}])"
                else:
                    target = following if way.goto is None else names[way.goto]
                yield f"    {here} -->|{_quoted(way.label)}| {target}"


def _shaped(step: Step) -> str:
    label = '"' + "<br>".join(_escaped(line) for line in (heading(step), *details(step))) + '"'
    match step:
        case Wait() | WaitFor():
            return f"({label})"
        case Branch() | Split():
            return f"{{{label}}}"
        case ExitStep():
            return f"([{label}])"
        case Repeat():
            return f"[[{label}]]"
        case _:
            return f"[{label}]"


def _place(step_id: str | None, names: Mapping[str, str]) -> str:
    return "done" if step_id is None else names[step_id]


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return " ".join(text.split()).translate(_ENTITIES)
