"""Pictures of journeys: Mermaid text by golden examples, SVG by its structure."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.insight.graph_layout import lay_out
from engine.insight.graph_mermaid import mermaid
from engine.insight.graph_shapes import Box, Frame, Label, Line, extent, text_width, wrap
from engine.insight.graph_svg import svg
from engine.plan.model import Plan
from engine.plan.words import describe
from workers.bootstrap import open_project
from workers.cli.main import make_app

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"

PROJECT = """\
project: pictures
timezone: Europe/Madrid
locale: en
database: sqlite:///pictures.db
channels:
  email: {use: inbox, from: "Shop <shop@shop.example>"}
  sms: {use: inbox}
topics:
  offers: {title: Offers, channels: [email, sms]}
"""
TEMPLATES = {
    "email/note.html": '---\nsubject: A note\n---\n<p>Hello <a href="{{ links.unsubscribe }}">no more</a></p>\n',
    "sms/note.txt": "Hello\n",
}

JOURNEYS = {
    "short": """\
journey: short
title: 'Short & "sweet" <b>'
topic: offers
trigger: {event: Order Completed, if: event.total < 5}
exit: {event: Order Cancelled, reason: cancelled}
steps:
  - {send: email, id: note, template: note, if: trigger.total > 1}
  - wait: 1d
""",
    "wide": """\
journey: wide
title: Wide
topic: offers
trigger:
  - event: Order Completed
  - {inactive: Order Completed, for: 60d}
  - {schedule: "0 18 * * FRI", to: buyers, zone: profile}
  - {segment: buyers, on: leave}
  - {date: "profile.renewal_date - days(14)", at: "09:00", every: year}
  - {journey: short, on: ended, reason: completed}
  - api: true
entry: {key: event.order_id, again: {after: 7d}, limit: {at_most: 500, per: 1h}}
exit: [{segment: buyers, on: leave}, {if: profile.plan == "staff"}]
goal: {event: Order Completed, exit: false}
holdout: 10%
steps:
  - send: sms
    id: first
    template: note
    expires: 6h
    window: {days: mon-fri, from: "09:00", to: "18:00"}
    otherwise:
      unreachable: exit
      no_consent:
        - {send: email, id: instead, template: note}
        - wait: 1h
      capped: wait
  - wait: {until: trigger.delivery_at, if_past: exit}
  - repeat:
      times: 3
      every: 7d
      until: did("Demo Booked")
      steps:
        - branch:
            - {if: profile.plan == "free", then: [{send: email, id: free, template: note}]}
            - if: profile.plan == "team"
              then:
                - repeat:
                    times: 2
                    every: 1d
                    steps: [{send: email, id: team, template: note}]
                - exit: enough
          else: [{set: {seen: true}}]
  - id: parcel
    wait_for:
      - {event: Parcel Delivered, if: event.order_id == trigger.order_id, then: [{exit: delivered}]}
      - event: Parcel Delayed
        then:
          - split:
              A: {weight: 50, steps: [{emit: Sorry Said}]}
              B: {weight: 30, steps: [{call: {url: "https://crm.example/with/a/very/long/path/that/has/no/space/at/all"}}]}
              C: {weight: 20, steps: []}
    since: start
    within: 5d
    else: [{start: short}]
  - wait_for: {event: Survey Answered}
""",
    "ends": """\
journey: ends
title: Ends
topic: offers
trigger: {event: Order Completed}
steps:
  - branch:
      - {if: trigger.total > 5, then: [{exit: rich}]}
    else: [{exit: poor}]
""",
}
SEGMENTS = "segments:\n  buyers: {title: Buyers, if: 'did(\"Order Completed\")'}\n"

SHORT = """\
%% short: Short & "sweet" <b>
flowchart TD
    t1(["Order Completed if event.total #lt; 5"]) --> s1
    s1["send email · note<br>only if trigger.total #gt; 1<br>template note"]
    s2("wait 1d")
    s1 --> s2
    s2 --> done
    done(["completed"])
    note["Entry<br>· one at a time per person<br>Exits<br>· Order Cancelled → cancelled"]
    style note fill:#fdf8e8,stroke:#d9c78f,text-align:left
"""
WIN_BACK = """\
%% win_back: We miss you
flowchart TD
    t1(["30d without any event"]) --> s1
    s1("wait until 10:00")
    s2["What is new<br>send email · miss_you<br>template win_back/miss_you"]
    s3("wait 7 days until 10:00")
    s4["A gift for your return<br>send email · gift<br>template win_back/gift"]
    s1 --> s2
    s2 --> s3
    s3 --> s4
    s4 --> done
    done(["completed"])
    note["Entry<br>· one at a time per person<br>· only if profile.plan != #quot;staff#quot;<br>\
Exits<br>· Page Viewed → returned<br>· Product Viewed → returned<br>· Cart Updated → returned<br>\
Goal<br>· Order Completed, within 21d"]
    style note fill:#fdf8e8,stroke:#d9c78f,text-align:left
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    files = {
        "sojourn.yml": PROJECT,
        "journeys/segments/shop.yml": SEGMENTS,
        **{f"journeys/{name}.yml": text for name, text in JOURNEYS.items()},
        **{f"templates/{name}": text for name, text in TEMPLATES.items()},
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def plans(folder: Path) -> dict[str, Plan]:
    return {**open_project(ROOT).plans, **open_project(folder).plans}


ALL = ["abandoned_cart", "pricing_nudge", "win_back", *JOURNEYS]


# ── Mermaid ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("journey", "expected"), [("short", SHORT), ("win_back", WIN_BACK)])
def test_mermaid_is_written_as_the_golden_example(plans: dict[str, Plan], journey: str, expected: str) -> None:
    assert mermaid(plans[journey]) == expected


def test_mermaid_names_conditions_outcomes_weights_and_loops_on_its_arrows(plans: dict[str, Plan]) -> None:
    text = mermaid(plans["wide"])
    for arrow in (
        '-->|"sent"|',
        '-->|"unreachable"| s1x2(["exit unreachable"])',
        '-->|"no consent"|',
        '-->|"already past"|',
        '-->|"each pass"|',
        '-->|"after the last"|',
        '-->|"if profile.plan == #quot;team#quot;"|',
        '-->|"else"|',
        '-->|"Parcel Delayed"|',
        '-->|"after 5d"|',
        '-->|"B · 30 %"|',
    ):
        assert arrow in text


@pytest.mark.parametrize("journey", ALL)
def test_mermaid_leads_into_every_step_and_out_of_every_step_that_has_a_way_out(
    plans: dict[str, Plan], journey: str
) -> None:
    text = mermaid(plans[journey])
    defined = set(re.findall(r"^    (s\d+)[\[({]", text, re.MULTILINE))
    led_to = set(re.findall(r"(?:--> |\| )(s\d+)$", text, re.MULTILINE))
    left = set(re.findall(r"^    (s\d+) -->", text, re.MULTILINE))
    exits = sum(step.kind == "exit" for step in plans[journey].steps.values())
    assert len(defined) == len(plans[journey].steps)
    assert led_to == defined
    assert len(left) == len(defined) - exits


# ── SVG ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("journey", ALL)
def test_the_picture_is_one_document_of_plain_shapes_that_shows_every_step_in_its_words(
    plans: dict[str, Plan], journey: str
) -> None:
    plan = plans[journey]
    root = ET.fromstring(svg(plan))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "rect", "g", "path", "text", "tspan",
    }  # fmt: skip
    assert all("href" not in name and not name.startswith("on") for e in root.iter() for name in e.attrib)
    shown = {group.get("data-step"): group.findtext(f"{SVG}title") for group in root.iter(f"{SVG}g")}
    assert {step_id: words for step_id, words in shown.items() if step_id} == {
        step.step_id: describe(step) for step in plan.steps.values()
    }


@pytest.mark.parametrize("journey", ALL)
def test_no_two_boxes_share_ground_and_no_words_on_a_way_lie_under_a_box(plans: dict[str, Plan], journey: str) -> None:
    shapes = lay_out(plans[journey])
    grounds = [_ground(shape) for shape in shapes if isinstance(shape, Box | Label)]
    for one, other in itertools.combinations(grounds, 2):
        assert not _overlap(one, other), (one, other)


@pytest.mark.parametrize("journey", ALL)
def test_no_way_runs_through_a_box(plans: dict[str, Plan], journey: str) -> None:
    shapes = lay_out(plans[journey])
    boxes = [_ground(shape) for shape in shapes if isinstance(shape, Box)]
    for line in (shape for shape in shapes if isinstance(shape, Line)):
        for (x0, y0), (x1, y1) in itertools.pairwise(line.points):
            stroke = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            assert not any(_overlap(stroke, box, slack=0.5) for box in boxes), (stroke, line)


@pytest.mark.parametrize("journey", ALL)
def test_every_box_is_reached_by_a_way_unless_it_is_a_trigger(plans: dict[str, Plan], journey: str) -> None:
    shapes = lay_out(plans[journey])
    ends = {(round(x, 3), round(y, 3)) for line in shapes if isinstance(line, Line) for x, y in [line.points[-1]]}
    framed = {round(frame.y, 3) for frame in shapes if isinstance(frame, Frame)}
    for box in (shape for shape in shapes if isinstance(shape, Box) and shape.kind not in ("trigger", "repeat")):
        assert (round(box.x + box.width / 2, 3), round(box.y, 3)) in ends, box
    for y in framed:
        assert any(end[1] == y for end in ends)


def test_everything_lies_on_the_paper(plans: dict[str, Plan]) -> None:
    for journey in ALL:
        root = ET.fromstring(svg(plans[journey]))
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for rect in root.iter(f"{SVG}rect"):
            if rect.get("class"):
                x, y = float(rect.attrib["x"]), float(rect.attrib["y"])
                assert x >= 0
                assert y >= 0
                assert x + float(rect.attrib["width"]) <= width
                assert y + float(rect.attrib["height"]) <= height


def test_what_an_author_writes_stays_text(plans: dict[str, Plan]) -> None:
    picture = svg(plans["short"])
    assert "<b>" not in picture
    assert 'Short &amp; "sweet" &lt;b&gt;' in picture


def test_a_journey_all_of_whose_ways_exit_shows_no_completion(plans: dict[str, Plan]) -> None:
    kinds = [shape.kind for shape in lay_out(plans["ends"]) if isinstance(shape, Box)]
    assert kinds.count("exit") == 2
    assert "end" not in kinds


def test_words_are_broken_at_spaces_and_inside_a_word_only_where_it_alone_is_too_wide() -> None:
    assert wrap("one two three", 10, text_width("one two", 10)) == ["one two", "three"]
    lines = wrap("https://crm.example/with/a/very/long/path", 10, 80)
    assert "".join(lines) == "https://crm.example/with/a/very/long/path"
    assert all(text_width(line, 10) <= 80 for line in lines)


def test_the_extent_of_a_picture_holds_its_labels_and_ways() -> None:
    label = Label(x=0, y=0, width=10, height=4, lines=("a",))
    assert extent([label, Line(points=((7, 1), (7, 9)))]) == (-5, 0, 7, 9)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_graph_prints_mermaid_and_writes_svg_into_a_file(folder: Path, tmp_path: Path) -> None:
    runner, app = CliRunner(), make_app()
    printed = runner.invoke(app, ["graph", "short", "--project", str(folder)])
    assert (printed.exit_code, printed.stdout) == (0, SHORT)
    target = tmp_path / "short.svg"
    written = runner.invoke(
        app, ["graph", "short", "--project", str(folder), "--format", "svg", "--output", str(target)]
    )
    assert written.exit_code == 0
    assert ET.parse(target).getroot().tag == f"{SVG}svg"


def _ground(shape: Box | Label) -> tuple[float, float, float, float]:
    left = shape.x - shape.width / 2 if isinstance(shape, Label) else shape.x
    return left, shape.y, left + shape.width, shape.y + shape.height


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float], slack: float = 0.0
) -> bool:
    return (
        one[0] < other[2] - slack
        and other[0] + slack < one[2]
        and one[1] < other[3] - slack
        and other[1] + slack < one[3]
    )
