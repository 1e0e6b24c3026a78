"""A plan's canonical JSON and its version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.plan import model
from engine.plan.digest import digest, plan_from_json, plan_to_json

names = st.text("abcdefghij_", min_size=1, max_size=6)
maybe_text = st.none() | st.text(max_size=8)
authored: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
seconds = st.integers(0, 10**8)

triggers = st.one_of(
    st.builds(model.EventTrigger, event=names, condition=maybe_text),
    st.builds(model.SegmentTrigger, segment=names, on=st.sampled_from(["enter", "leave"])),
    st.builds(model.InactiveTrigger, event=st.none() | names, for_seconds=seconds),
    st.builds(model.DateTrigger, date=names, at=st.just("09:00"), is_yearly=st.booleans()),
    st.builds(model.ScheduleTrigger, cron=names, to=names, zone=st.sampled_from(["project", "profile"])),
    st.builds(model.ApiTrigger, condition=maybe_text),
    st.builds(model.JourneyTrigger, journey=names, reason=st.none() | names),
)
exits = st.one_of(
    st.builds(model.EventExit, event=names, condition=maybe_text, reason=names),
    st.builds(model.SegmentExit, segment=names, on=st.sampled_from(["enter", "leave"])),
    st.builds(model.ConditionExit, condition=names),
)
common = {"step_id": names, "title": maybe_text, "condition": maybe_text, "next": st.none() | names, "path": names}
otherwise = st.builds(model.Otherwise, action=st.sampled_from(["skip", "wait", "exit", "goto"]), goto=st.none() | names)
windows = st.builds(model.Window, days=st.lists(st.integers(1, 7)).map(tuple))
values = st.dictionaries(names, authored, max_size=3)
moments = st.one_of(
    st.builds(model.Elapsed, seconds=seconds),
    st.builds(model.CalendarDays, days=seconds, at=st.none() | st.just("09:00")),
    st.builds(model.NextLocal, at=st.just("09:00"), weekday=st.none() | st.integers(1, 7)),
    st.builds(model.Moment, expression=names),
)
steps = st.one_of(
    st.builds(
        model.Send,
        channels=st.lists(names, min_size=1).map(tuple),
        template=names,
        topic=names,
        values=values,
        to=authored,
        window=st.none() | windows,
        expires_seconds=st.none() | seconds,
        otherwise=st.dictionaries(names, otherwise, max_size=3),
        **common,
    ),
    st.builds(model.Wait, for_=moments, if_past=st.sampled_from(["continue", "exit"]), **common),
    st.builds(
        model.WaitFor,
        alternatives=st.lists(st.builds(model.Awaited, event=names, condition=maybe_text, then=maybe_text)).map(tuple),
        since=st.none() | names,
        within_seconds=st.none() | seconds,
        otherwise=st.none() | names,
        **common,
    ),
    st.builds(model.Branch, arms=st.lists(st.builds(model.Arm, condition=names, then=maybe_text)).map(tuple), **common),
    st.builds(
        model.Split,
        sides=st.lists(st.builds(model.Side, name=names, weight=st.floats(0, 100), first=maybe_text)).map(tuple),
        **common,
    ),
    st.builds(model.Set, values=values, **common),
    st.builds(model.Emit, event=names, values=values, **common),
    st.builds(model.Call, url=names, json=authored, headers=values, save=st.dictionaries(names, names), **common),
    st.builds(model.Start, journey=names, values=values, **common),
    st.builds(model.Repeat, times=seconds, body=maybe_text, every_seconds=st.none() | seconds, **common),
    st.builds(model.ExitStep, reason=names, **common),
)
entries = st.builds(
    model.Entry,
    key=maybe_text,
    again=st.sampled_from(["always", "never", "after"]),
    again_after_seconds=st.none() | seconds,
    limit=st.none() | st.builds(model.Limit, at_most=seconds, per_seconds=seconds),
)
plans = st.builds(
    model.Plan,
    journey=names,
    title=st.text(max_size=8),
    triggers=st.lists(triggers, max_size=3).map(tuple),
    entry=entries,
    exits=st.lists(exits, max_size=3).map(tuple),
    goal=st.none() | st.builds(model.Goal, event=names, within_seconds=st.none() | seconds, is_exit=st.booleans()),
    holdout=st.integers(0, 10_000),
    pace_per_second=st.none() | st.floats(0.1, 100),
    first=st.none() | names,
    steps=st.lists(steps, max_size=4).map(lambda listed: {each.step_id: each for each in listed}),
)

reminder = model.Plan(
    journey="abandoned_cart",
    title="Abandoned cart",
    triggers=(model.EventTrigger(event="Cart Updated", condition="event.total > 0"),),
    first="wait@steps.0",
    steps={
        "wait@steps.0": model.Wait(step_id="wait@steps.0", next="reminder", for_=model.Elapsed(seconds=3600)),
        "reminder": model.Send(
            step_id="reminder",
            path="steps.1",
            channels=("email",),
            template="cart/reminder",
            topic="cart",
            values={"size": "größer"},
            window=model.Window(days=(1, 2), from_="09:00", to="18:00"),
            otherwise={"quiet": model.Otherwise(action="wait")},
        ),
    },
)


@given(plans)
def test_a_plan_comes_back_from_its_json_exactly(plan: model.Plan) -> None:
    text = plan_to_json(plan)
    assert plan_from_json(text) == plan
    assert plan_to_json(plan_from_json(text)) == text


def test_the_json_is_canonical() -> None:
    """Sorted, compact, without fields at their default: written out here, for a change moves every version."""
    assert plan_to_json(reminder) == (
        '{"first":"wait@steps.0","journey":"abandoned_cart","schema_version":1,"steps":{'
        '"reminder":{"channels":["email"],"kind":"send","otherwise":{"quiet":{"action":"wait"}},"path":"steps.1",'
        '"step_id":"reminder","template":"cart/reminder","topic":"cart","values":{"size":"größer"},'
        '"window":{"days":[1,2],"from_":"09:00","to":"18:00"}},'
        '"wait@steps.0":{"for_":{"kind":"elapsed","seconds":3600},"kind":"wait","next":"reminder",'
        '"step_id":"wait@steps.0"}},"title":"Abandoned cart",'
        '"triggers":[{"condition":"event.total > 0","event":"Cart Updated","kind":"event"}]}'
    )


def test_the_version_is_the_same_on_every_machine() -> None:
    assert digest(reminder) == "b49c19aabc5b9c51"


def test_the_order_of_a_mapping_does_not_count() -> None:
    assert digest(replace(reminder, steps=dict(reversed(reminder.steps.items())))) == digest(reminder)


@pytest.mark.parametrize(
    "changed",
    [
        replace(reminder, title="Another title"),
        replace(reminder, holdout=1),
        replace(reminder, entry=model.Entry(when_active="restart")),
        replace(reminder, triggers=(model.ApiTrigger(),)),
    ],
)
def test_whatever_stands_in_a_plan_counts(changed: model.Plan) -> None:
    assert digest(changed) != digest(reminder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 2}', '{"a": NaN}'])
def test_what_is_no_plan_of_this_release_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        plan_from_json(text)


def test_unknown_fields_are_refused() -> None:
    data = {**json.loads(plan_to_json(reminder)), "colour": "blue"}
    with pytest.raises(BadInput):
        plan_from_json(json.dumps(data))
