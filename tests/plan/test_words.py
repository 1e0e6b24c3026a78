"""Steps in the author's words."""

from __future__ import annotations

import pytest

from engine.plan import model
from engine.plan.words import describe


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (model.Send(step_id="reminder", channels=("email",), template="t", topic="t"), "send email · reminder"),
        (model.Send(step_id="send@steps.1", channels=("chat", "sms"), template="t", topic="t"), "send chat or sms"),
        (model.Send(step_id="tell", title="Tell sales", channels=("chat",), template="t", topic="t"),
         "Tell sales · tell"),
        (model.Wait(step_id="wait@steps.0", for_=model.Elapsed(seconds=3600)), "wait 1h"),
        (model.Wait(step_id="wait@steps.0", for_=model.Elapsed(seconds=90_061)), "wait 1d1h1m1s"),
        (model.Wait(step_id="wait@steps.0", for_=model.CalendarDays(days=1, at="09:00")), "wait 1 day until 09:00"),
        (model.Wait(step_id="wait@steps.0", for_=model.CalendarDays(days=3)), "wait 3 days"),
        (model.Wait(step_id="wait@steps.0", for_=model.NextLocal(at="10:00", weekday=2)), "wait until tue 10:00"),
        (model.Wait(step_id="wait@steps.0", for_=model.NextLocal(at="10:00")), "wait until 10:00"),
        (model.Wait(step_id="wait@steps.0", for_=model.Moment(expression="now + days(1)")),
         "wait until now + days(1)"),
        (model.WaitFor(step_id="wait_for@steps.0", alternatives=(model.Awaited(event="Order Completed"),)),
         "wait for Order Completed"),
        (model.WaitFor(step_id="click", within_seconds=86_400,
                       alternatives=(model.Awaited(event="A"), model.Awaited(event="B"))),
         "wait for A or B within 1d · click"),
        (model.Branch(step_id="branch@steps.0", arms=()), "branch"),
        (model.Split(step_id="split@steps.0", sides=(model.Side(name="A", weight=1, first=None),
                                                     model.Side(name="B", weight=1, first=None))), "split A / B"),
        (model.Set(step_id="set@steps.0", values={"plan": "free", "tier": 1}), "set plan, tier"),
        (model.Emit(step_id="emit@steps.0", event="Lead Scored"), "emit Lead Scored"),
        (model.Call(step_id="crm", url="https://crm.example", method="POST"), "call POST · crm"),
        (model.Start(step_id="start@steps.0", journey="onboarding"), "start onboarding"),
        (model.Repeat(step_id="repeat@steps.0", times=3, body="x", every_seconds=604_800), "repeat 3 times every 7d"),
        (model.Repeat(step_id="repeat@steps.0", times=2, body="x"), "repeat 2 times"),
        (model.ExitStep(step_id="exit@steps.0", reason="cared_for"), "exit cared_for"),
    ],
)  # fmt: skip
def test_a_step_reads_as_its_author_wrote_it(step: model.Step, words: str) -> None:
    assert describe(step) == words
