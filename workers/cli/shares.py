"""A backtest on all processors: people who do not depend on each other are shared out among processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from workers.cli.console import progress

if TYPE_CHECKING:
    from engine.simulator.backtest import Backtest, Draft, Share
    from engine.simulator.backtest_rows import Recording
    from engine.simulator.backtest_survey import Survey

#: Below this many events a further process costs more than it saves.
_WORTH_IT = 10_000
#: How often the bar moves, in seconds; how many events a process plays before it says so.
_TICK, _BATCH = 0.2, 100

#: Events played by all processes together; set in each of them as it begins.
_played: Any = None


def play_shares(draft: Draft, recording: Recording, seen: Survey, label: str, processes: int | None = None) -> Backtest:
    """What the draft would have done, with a bar; on as many processes as there are processors, where it is worth it.

    An entry limit counts over all people: then it is one process.
    """
    from engine.simulator.backtest import Share, united

    fitting = processes or min(os.cpu_count() or 1, 1 + seen.events // _WORTH_IT)
    count = fitting if draft.is_divisible else 1
    with progress(label, seen.events) as step:
        if count == 1:
            return draft.run(recording, seen, step)
        # Not forked: a bar's thread may hold a lock at that very moment.
        context = get_context("spawn")
        played = context.Value("Q", 0)
        with ProcessPoolExecutor(count, context, _begin, (played,)) as pool:
            shares = [pool.submit(_play, draft, recording, seen, Share(number, count)) for number in range(count)]
            _follow(shares, played, step)
            return united([share.result() for share in shares])


def _follow(shares: list[Future[Backtest]], played: Any, step: Callable[[], None]) -> None:
    shown = 0
    pending = set(shares)
    while pending:
        _, pending = wait(pending, timeout=_TICK)
        while shown < played.value:
            step()
            shown += 1


def _begin(played: Any) -> None:
    global _played
    _played = played


def _play(draft: Draft, recording: Recording, seen: Survey, share: Share) -> Backtest:
    mine = 0

    def on_row() -> None:
        nonlocal mine
        mine += 1
        if mine % _BATCH == 0:
            with _played.get_lock():
                _played.value += _BATCH

    return draft.run(recording, seen, on_row, share)
