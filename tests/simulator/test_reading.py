"""A scenario that cannot be used is said to be, with its place; nothing in it is silently left out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.language.diagnostics import Problems
from engine.plan.model import Side, Split
from engine.simulator.reading import read_scenarios
from engine.simulator.scenario import ConsentGiven, Scenario, Tracked
from tests.factories import NOW, plan, project, send

SHOP = project(
    plan(
        send(),
        Split(step_id="ab", sides=(Side(name="A", weight=50, first=None), Side(name="B", weight=50, first=None))),
    )
)
HEAD = "scenario: one\nstart: 2026-03-02T10:00:00Z\n"
TAIL = "expect: {messages: []}\n"


def read(text: str) -> tuple[list[Scenario], list[str]]:
    problems = Problems()
    scenarios = read_scenarios("t.yml", text.encode(), SHOP, problems)
    return scenarios, [f"{each.line}:{each.column}: {each.message}" for each in problems.sorted()]


#: What stands between the head (lines 1 and 2) and the expectations, and what is said of it.
MISTAKES = {
    "journeys: [carte]": "3:12: 'carte' is no journey of this project",
    "journeys: cart": "3:11: `journeys` is a list of names",
    "untill: 3d": "3:1: `untill` is not known here",
    "until: soon": "3:8: 'soon' is no moment",
    "until: 500d": "3:8: `until` lies within 400 days from the start",
    "profiles: ana": "3:11: `profiles` is a list of mappings",
    "profiles: [ana]": "3:12: each row of `profiles` is a mapping",
    "profiles: [{email: a@example.com}]": "3:12: `id` is missing",
    "profiles: [{id: ana}, {id: ana}]": "3:28: there are two profiles with the id 'ana'",
    "profiles: [{id: ana, mail: a@example.com}]": "3:22: `mail` is not known here",
    "profiles: [{id: ana, email: nobody}]": (
        "3:29: `email`: this is no email address: write it like name@shop.example"
    ),
    "profiles: [{id: ana, phone: '600111222'}]": (
        "3:29: `phone`: this is no phone number: write it with its country code, like +34600111222"
    ),
    "profiles: [{id: ana, timezone: Mars/Base}]": (
        "3:32: `timezone` is unknown: write an IANA name such as Europe/Madrid"
    ),
    "profiles: [{id: ana, attributes: gold}]": "3:34: `attributes` is a mapping",
    "profiles: [{id: ana, consents: [{channel: mail, topic: news}]}]": "3:43: 'mail' is no channel of this project",
    "profiles: [{id: ana, consents: [{channel: email, topic: new}]}]": "3:57: 'new' is no topic of this project",
    "profiles: [{id: ana, consents: [{channel: email, topic: news, basis: hope}]}]": (
        "3:70: `basis` is one of consent, soft_opt_in, not 'hope'"
    ),
    "events: [{profile: ana, event: Bought}]": "3:10: a row under `events` says `at`",
    "events: [{at: noon, profile: ana, event: Bought}]": "3:15: 'noon' is no moment",
    "events: [{at: 1h, event: Bought}]": "3:10: `profile` is missing",
    "events: [{at: 1h, profile: ana, event: }]": "3:40: `event` names something: it is empty",
    "events: [{at: 1h, profile: ana, event: Bought, propertys: {}}]": "3:48: `propertys` is not known here",
    "events: [{at: 1h, profile: ana, event: Bought, properties: 3}]": "3:60: `properties` is a mapping",
    "events: [{at: 1h, profile: ana, event: Bought, timestamp: later}]": "3:59: 'later' is no moment",
    "events: [{at: 1h, profile: ana}]": (
        "3:10: a row under `events` is one of `event`, `set`, `grant`, `confirm`, `withdraw`, `object`, `reply`, "
        "`bounce`, `complaint`, `open`, `click`, `enroll`, `alias`, `erase`, `pause`, `resume`, `stop`, `provider`"
    ),
    "events: [{at: 1h, profile: ana, set: gold}]": "3:38: `set` is a mapping",
    "events: [{at: 1h, profile: ana, grant: {channel: email}}]": "3:10: a `grant` names its channel and its topic",
    "events: [{at: 1h, profile: ana, withdraw: {topic: all}}]": "3:51: 'all' is no topic of this project",
    "events: [{at: 1h, profile: ana, withdraw: {}, by: bob}]": (
        "3:51: `by` is one of person, import, api, agent, provider, system, not 'bob'"
    ),
    "events: [{at: 1h, profile: ana, reply: STOP, channel: fax}]": "3:55: 'fax' is no channel of this project",
    "events: [{at: 1h, profile: ana, reply: , channel: sms}]": "3:40: `reply` names something: it is empty",
    "events: [{at: 1h, profile: ana, bounce: firm, channel: sms}]": "3:41: `bounce` is one of hard, soft, not 'firm'",
    "events: [{at: 1h, profile: ana, complaint: false, channel: sms}]": (
        "3:44: `complaint` is `true`: leave the row out where it does not happen"
    ),
    "events: [{at: 1h, profile: ana, erase: no}]": (
        "3:40: `erase` is `true`: leave the row out where it does not happen"
    ),
    "events: [{at: 1h, profile: ana, open: hallo}]": "3:39: 'hallo' is no step of this project",
    "events: [{at: 1h, profile: ana, enroll: carte}]": "3:41: 'carte' is no journey of this project",
    "events: [{at: 1h, pause: carte}]": "3:26: 'carte' is no journey of this project",
    "events: [{at: 1h, provider: email, fails: maybe, for: 1h}]": (
        "3:43: `fails` is one of permanent, outage, no_answer, not 'maybe'"
    ),
    "events: [{at: 1h, provider: mail, fails: outage, for: 1h}]": "3:29: 'mail' is no channel of this project",
    "events: [{at: 1h, provider: email, fails: outage}]": "3:10: `for` is missing",
    "events: [{at: 1h, provider: email, fails: outage, for: ever}]": (
        "3:56: 'ever' is no duration: write whole numbers with the units w d h m s, largest first, such as 90m or 3d4h"
    ),
    "until: 1h\nevents: [{at: 2h, profile: ana, event: Bought}]": (
        "4:1: this row comes after `until`: it would never happen"
    ),
    "answers: []": "3:10: `answers` is a mapping of URLs",
    "answers: {'https://a.example': 200}": "3:32: an answer is a mapping of `status` and `json`",
    "answers: {'https://a.example': {status: fine}}": "3:41: `status` is a number from 100 to 599",
    "force: A": "3:8: `force` is a mapping of `holdout` and `split`",
    "force: {holdout: ana}": "3:18: `holdout` is a list of profiles",
    "force: {split: [ab]}": "3:16: `split` is a mapping of steps",
    "force: {split: {ab: A}}": "3:21: a split's sides are a mapping of profiles: `{ana: A}`",
    "force: {split: {abc: {ana: A}}}": "3:17: 'abc' is no split of this project",
    "profiles: [{id: ana}]\nforce: {split: {ab: {ana: C}}}": "4:27: 'C' is no side of this split",
    "profiles: [{id: ana}]\nforce: {split: {ab: {anna: A}}}": "4:22: 'anna' is no profile of this scenario",
    "profiles: [{id: ana}]\nforce: {holdout: [ana, anna]}": "4:24: 'anna' is no profile of this scenario",
    "events: [{at: 1h, profile: ana, withdraw: email}]": "3:43: `withdraw` is a mapping of `channel` and `topic`",
    "events: [{at: 1h, profile: ana, object: [news]}]": "3:41: `object` is a mapping of `channel` and `topic`",
    "events: [{at: 401d, profile: ana, event: Bought}]": (
        "3:1: this row comes after the 400 days that a scenario lasts at most: it would never happen"
    ),
    "events: [{at: '0001-01-01T00:00:00+10:00', profile: ana, event: Bought}]": (
        "3:15: '0001-01-01T00:00:00+10:00' is no moment"
    ),
    "events: [{at: -800000d, profile: ana, event: Bought}]": "3:15: '-800000d' is no moment",
    "profiles: [{id: ana, consents: [{topic: news}]}]": "3:33: `channel` is missing",
}


@pytest.mark.parametrize("authored", MISTAKES)
def test_a_mistake_is_said_with_its_place_and_the_scenario_is_not_run(authored: str) -> None:
    scenarios, said = read(f"{HEAD}{authored}\n{TAIL}")
    assert scenarios == []
    assert MISTAKES[authored] in said


#: Expectations in line 3, and what is said of them.
WRONG_EXPECTATIONS = {
    "": "1:1: a scenario expects something: `expect:`",
    "expect: nothing": "3:9: `expect` is a mapping",
    "expect: {message: []}": "3:10: `message` is not known here",
    "expect: {messages: none}": "3:20: `messages` is a list of mappings",
    "expect: {messages: [{when: 1h}]}": "3:22: `when` is not known here",
    "expect: {messages: [{at: soon}]}": "3:26: 'soon' is no moment",
    "expect: {messages: [{journey: carte}]}": "3:31: 'carte' is no journey of this project",
    "expect: {messages: [{channel: mail}]}": "3:31: 'mail' is no channel of this project",
    "expect: {messages: [{step: hallo}]}": "3:28: 'hallo' is no step of this project",
    "expect: {messages: [{topic: new}]}": "3:29: 'new' is no topic of this project",
    "expect: {messages: [{profile: anna}]}": "3:31: 'anna' is no profile of this scenario",
    "expect: {decisions: [{outcome: no_consnt}]}": (
        "3:32: `outcome` is one of sent, held_out, ended, expired, unreachable, suppressed, no_consent, quiet, capped, "
        "render_error, failed, in_doubt, not 'no_consnt'"
    ),
    "expect: {enrollments: [{state: over}]}": "3:32: `state` is one of active, ended, not 'over'",
    "expect: {messages: [{contains: [[Hello]]}]}": "3:32: `contains` is a list of texts",
    "expect: {messages: [{contains: {Hello: 1}}]}": "3:32: `contains` is a list of texts",
    "profiles: [{id: ana}]\nexpect: {profiles: [{id: ana, attributes: gold}]}": "4:43: `attributes` is a mapping",
    "expect: {profiles: [{id: anna}]}": "3:26: 'anna' is no id of this scenario",
    "profiles: [{id: ana}]\nexpect: {profiles: [{id: ana, not_segments: [byers]}]}": (
        "4:46: 'byers' is no segment of this project"
    ),
    "profiles: [{id: ana}]\nexpect: {profiles: [{id: ana, segments: byers}]}": "4:41: segments are a list of names",
}


@pytest.mark.parametrize("authored", WRONG_EXPECTATIONS)
def test_an_expectation_that_could_never_hold_is_a_mistake_and_not_a_failure(authored: str) -> None:
    scenarios, said = read(f"{HEAD}{authored}\n")
    assert scenarios == []
    assert WRONG_EXPECTATIONS[authored] in said


def test_a_row_about_a_journey_that_takes_no_part_is_a_mistake() -> None:
    (journey,) = SHOP.plans
    for action in ("enroll", "pause", "resume", "stop"):
        who = "profile: ana, " if action == "enroll" else ""
        rows = f"events:\n  - {{at: 1h, {who}{action}: {journey}}}\n"
        assert read(f"{HEAD}{rows}{TAIL}")[1] == []
        scenarios, (said,) = read(f"{HEAD}journeys: []\n{rows}{TAIL}")
        assert scenarios == []
        assert said.endswith(f": journey {journey!r} takes no part in this scenario")


def test_a_lone_text_that_a_message_contains_is_a_list_of_one() -> None:
    (scenario,), said = read(f"{HEAD}expect: {{messages: [{{contains: Hello}}]}}\n")
    assert said == []
    assert scenario.expected.messages == ({"contains": ["Hello"]},)


def test_a_withdrawal_of_everything_names_nothing() -> None:
    rows = "events: [{at: 1h, profile: ana, withdraw: }, {at: 1h, profile: ana, withdraw: true}]\n"
    (scenario,), said = read(f"{HEAD}{rows}{TAIL}")
    assert said == []
    withdrawn = [row.action for row in scenario.rows if isinstance(row.action, ConsentGiven)]
    assert [(action.channel, action.topic) for action in withdrawn] == [(None, None), (None, None)]


def test_a_scenario_needs_a_name_and_a_beginning_with_an_offset() -> None:
    assert read(f"start: 2026-03-02T10:00:00Z\n{TAIL}")[1] == [
        "1:1: a scenario has a name: `scenario: what must be true`"
    ]
    assert read(f"scenario: one\nstart: 2026-03-02T10:00:00\n{TAIL}")[1] == [
        "2:8: `start` is the first instant: a timestamp with its offset"
    ]
    assert read("- one\n")[1] == ["1:1: a scenario is a mapping that begins with `scenario:`"]


def test_one_unusable_scenario_leaves_the_others_of_its_file() -> None:
    scenarios, said = read(f"{HEAD}until: soon\n{TAIL}---\n{HEAD.replace('one', 'two')}{TAIL}")
    assert [scenario.name for scenario in scenarios] == ["two"]
    assert said == ["3:8: 'soon' is no moment"]


def test_moments_are_offsets_or_timestamps_and_rows_of_one_instant_keep_their_order() -> None:
    text = """events:
  - {at: 1h, profile: ana, event: B}
  - {at: 2026-03-02T12:00:00+01:00, profile: ana, event: C}
  - {at: -3d, profile: ana, event: A, timestamp: -4d}
"""
    (scenario,), said = read(HEAD + text + TAIL)
    assert said == []
    found = [
        (row.action.event, row.at - NOW, row.action.timestamp - NOW)
        for row in scenario.rows
        if isinstance(row.action, Tracked)
    ]
    hour, days = timedelta(hours=1), timedelta(days=1)
    assert found == [("A", -3 * days, -4 * days), ("B", hour, hour), ("C", hour, hour)]


def test_what_the_steps_of_system_messages_are_called_is_ours() -> None:
    (scenario,), said = read(f"{HEAD}expect: {{system_messages: [{{step: anything, topic: anything}}]}}\n")
    assert said == []
    assert scenario.expected.system_messages is not None
