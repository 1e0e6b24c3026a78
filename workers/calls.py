"""Every activity that the workflow calls: its name, its queue, its time-outs, its retries, its place in line.

Retries here are for our own machinery only. What a provider refuses comes back as a result of the step; what raises is
a store that cannot be reached, a worker that died, a defect. None of them may strand a person, so none is final: each
is tried again, for as long as it takes, at most a minute apart, and a deploy that mends a defect finds everybody where
they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy

from engine.plan.model import Call, Send, Step
from workers.contracts.payloads import FinishRequest, PerformRequest

#: Workflows and local activities; sends have a queue for each channel.
TASK_QUEUE = "sojourn"
#: Sweeps, and the activity that does them.
SWEEP_QUEUE = "sojourn-sweep"
SWEEP_WORKFLOW = "sojourn-sweep"
PERFORM = "perform"
DISPATCH = "dispatch"
FINISH = "finish"
SWEEP = "sweep"

#: Temporal repeats an activity whose worker died only after this long, so it is short; a channel and its backup take
#: less, though each of them answers at the last moment (half a minute).
DISPATCH_TIMEOUT = timedelta(seconds=75)
LOCAL_TIMEOUT = timedelta(seconds=10)
#: Where people take turns, as in a scenario, a step waits for those before it.
TURN_TIMEOUT = timedelta(minutes=10)
#: A sweep that invites a million people takes its time; one whose worker died is begun anew after the other.
SWEEP_TIMEOUT = timedelta(hours=12)
_SWEEP_HEARTBEAT = timedelta(seconds=20)
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=60)
)
#: Longer pauses between tries of a local activity are timers of the server: all of ours are, so that an outage holds no
#: workflow task open and a retry survives its worker.
_LOCAL_PATIENCE = timedelta(milliseconds=100)

#: Of Temporal's 1 (first) to 5: what somebody waits for goes before what we would like to say.
_URGENT = 1
_MARKETING = 4
#: Temporal refuses longer fairness keys.
_FAIRNESS_KEY_BYTES = 64

Json = dict[str, Any]


def send_queue(channel: str) -> str:
    """The task queue that carries a channel's sends: its rate limit holds across all workers."""
    return f"sojourn-send-{channel}"


def dispatch(
    request: PerformRequest, step: Send, *, journey: str, is_urgent: bool, summary: str
) -> workflow.ActivityHandle[Json]:
    """Starts a send, on the queue of the first channel that it names (a backup goes by that channel's rate)."""
    return workflow.start_activity(
        DISPATCH,
        request.to_json(),
        task_queue=send_queue(step.channels[0]),
        result_type=dict,
        start_to_close_timeout=DISPATCH_TIMEOUT,
        retry_policy=_RETRY,
        summary=summary,
        priority=Priority(
            priority_key=_URGENT if is_urgent else _MARKETING,
            # One large journey must not starve the others.
            fairness_key=journey.encode()[:_FAIRNESS_KEY_BYTES].decode(errors="ignore"),
        ),
    )


def perform(
    request: PerformRequest, step: Step, *, summary: str, timeout: timedelta = LOCAL_TIMEOUT
) -> workflow.ActivityHandle[Json]:
    """Starts any other step: local, because a round through the server costs more than the step itself."""
    reach = timedelta(seconds=step.timeout_seconds) if isinstance(step, Call) else timedelta()
    return workflow.start_local_activity(
        PERFORM,
        request.to_json(),
        result_type=dict,
        start_to_close_timeout=timeout + reach,
        retry_policy=_RETRY,
        local_retry_threshold=_LOCAL_PATIENCE,
        summary=summary,
    )


def finish(request: FinishRequest) -> workflow.ActivityHandle[Mapping[str, Any] | None]:
    """Starts the recording of the end."""
    return workflow.start_local_activity(
        FINISH,
        request.to_json(),
        start_to_close_timeout=LOCAL_TIMEOUT,
        retry_policy=_RETRY,
        local_retry_threshold=_LOCAL_PATIENCE,
        summary=f"end · {request.reason}",
    )


async def sweep() -> int:
    """One sweep: how many due rows it fired."""
    fired: int = await workflow.execute_activity(
        SWEEP,
        result_type=int,
        start_to_close_timeout=SWEEP_TIMEOUT,
        heartbeat_timeout=_SWEEP_HEARTBEAT,
        retry_policy=_RETRY,
        summary="what is due",
    )
    return fired
