"""What caps and quiet hours allow, worked out without the engine: every order in which two workers' transactions may
come, and what each of them leaves behind. Times are minutes after `factories.NOW`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

#: Local time of minute 0 in minutes after midnight: 11:00 in Madrid.
_BEGINS_AT = 11 * 60
_DAY = 24 * 60

#: What a provider says to one attempt. `out`: nothing was sent. `lost`: no answer; the message may have gone.
Answer = Literal["ok", "no", "out", "lost"]


@dataclass(frozen=True)
class Rule:
    """A cap, or quiet hours; without channels for all."""

    channels: tuple[str, ...] = ()

    def concerns(self, channel: str) -> bool:
        return not self.channels or channel in self.channels


@dataclass(frozen=True)
class CapRule(Rule):
    at_most: int = 1
    minutes: int = _DAY


@dataclass(frozen=True)
class QuietRule(Rule):
    #: Minutes after midnight.
    begins: int = 21 * 60
    ends: int = 9 * 60

    def holds(self, now: int) -> bool:
        local = (_BEGINS_AT + now) % _DAY
        if self.begins <= self.ends:
            return self.begins <= local < self.ends
        return local >= self.begins or local < self.ends


@dataclass(frozen=True)
class Rules:
    caps: tuple[CapRule, ...]
    quiet: tuple[QuietRule, ...] = ()


class Job(NamedTuple):
    """One person's one message: a journey of its own."""

    journey: str
    channels: tuple[str, ...]
    is_marketing: bool
    waits_when_capped: bool


class Row(NamedTuple):
    """What is stored of a message."""

    #: `doubted`: is tried again although it may have gone.
    status: str
    channel: str
    via: str
    #: When it took its place.
    at: int
    first_at: int


#: `perform` a job's step, or have its message in doubt `resend` by ops.
Action = tuple[Literal["perform", "resend"], int]


class World(NamedTuple):
    """All that is stored, and how many answers each message has had."""

    rows: tuple[Row | None, ...]
    answered: tuple[int, ...]


class _Under(NamedTuple):
    """An action whose message is at its provider."""

    kind: str
    via: str
    #: An earlier attempt may have got through.
    is_doubted: bool = False


class _Worker(NamedTuple):
    place: int = 0
    under_way: _Under | None = None
    results: tuple[str, ...] = ()


class Model:
    """One person, their jobs, and the answers that providers give to each job's attempts, in order (then `ok`)."""

    def __init__(
        self,
        rules: Rules,
        jobs: Sequence[Job],
        answers: Sequence[Sequence[Answer]],
        backups: Mapping[str, str],
    ) -> None:
        self._rules = rules
        self._jobs = jobs
        self._answers = answers
        self._backups = backups

    def new_world(self) -> World:
        return World((None,) * len(self._jobs), (0,) * len(self._jobs))

    def outcomes(
        self, world: World, now: int, plans: Sequence[Sequence[Action]]
    ) -> set[tuple[World, tuple[tuple[str, ...], ...]]]:
        """Every world, with each worker's results, that some order of their transactions leads to."""
        start = (world, tuple(_Worker() for _ in plans))
        seen, waiting = {start}, [start]
        ends = set()
        while waiting:
            world, workers = waiting.pop()
            is_over = True
            for number, worker in enumerate(workers):
                if worker.place == len(plans[number]):
                    continue
                is_over = False
                after, moved = self._transact(world, now, worker, plans[number][worker.place])
                state = (after, (*workers[:number], moved, *workers[number + 1 :]))
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
            if is_over:
                ends.add((world, tuple(worker.results for worker in workers)))
        return ends

    def places(self, world: World) -> Iterator[tuple[int, str]]:
        """Instant and channel of each place that is taken under the caps."""
        for job, row in zip(self._jobs, world.rows, strict=True):
            if row is not None and job.is_marketing and row.status in ("claimed", "in_doubt", "sent"):
                yield row.at, row.channel

    def overfull(self, world: World) -> list[CapRule]:
        """Caps that some span of time holds too many for."""
        places = list(self.places(world))
        return [
            cap
            for cap in self._rules.caps
            for end, _ in places
            if sum(end - cap.minutes < at <= end and cap.concerns(channel) for at, channel in places) > cap.at_most
        ]

    # ── one transaction ──────────────────────────────────────────────────────────────────────────────────────────────
    def _transact(self, world: World, now: int, worker: _Worker, action: Action) -> tuple[World, _Worker]:
        kind, job = action
        if worker.under_way is None:
            decide = self._decide if kind == "perform" else self._resend
            world, came = decide(world, now, job)
        else:
            given = self._answers[job]
            count = world.answered[job]
            answer: Answer = given[count] if count < len(given) else "ok"
            counted = (*world.answered[:job], count + 1, *world.answered[job + 1 :])
            world = world._replace(answered=counted)
            record = self._record if kind == "perform" else self._record_resent
            world, came = record(world, now, job, worker.under_way, answer)
        if isinstance(came, _Under):
            return world, worker._replace(under_way=came)
        return world, _Worker(worker.place + 1, None, (*worker.results, came))

    def _decide(self, world: World, now: int, job: int) -> tuple[World, str | _Under]:
        row, asked = world.rows[job], self._jobs[job]
        if row is not None:
            if row.status in ("retrying", "doubted"):
                return self._again(world, now, job, row, row.channel)
            if row.status == "claimed":
                # The other worker's, of which this one knows nothing.
                return _put(world, job, row._replace(status="in_doubt")), "in_doubt"
            return world, row.status
        held = []
        for channel in asked.channels:
            hold = self._hold(world, now, job, channel)
            if hold is None:
                return _put(world, job, Row("claimed", channel, channel, now, now)), _Under("perform", channel)
            held.append(hold)
        if "quiet" in held:
            return world, "wait:quiet"
        return world, "wait:capped" if asked.waits_when_capped else "capped"

    def _again(self, world: World, now: int, job: int, row: Row, via: str) -> tuple[World, str | _Under]:
        hold = self._hold(_put(world, job, row._replace(status="retrying")), now, job, row.channel)
        if hold is None:
            claimed = row._replace(status="claimed", via=via, at=now)
            return _put(world, job, claimed), _Under("perform", via, row.status == "doubted")
        if hold == "quiet" or self._jobs[job].waits_when_capped:
            return _put(world, job, row), f"wait:{hold}"
        return _put(world, job, row._replace(status=hold)), hold

    def _record(self, world: World, now: int, job: int, under: _Under, answer: Answer) -> tuple[World, str | _Under]:
        row = world.rows[job]
        assert row is not None
        if row.status == "in_doubt" and answer == "out":
            # The other worker has told the journey, which has gone on: nobody would come back, but ops.
            return world, "in_doubt"
        match answer:
            case "ok":
                return _put(world, job, row._replace(status="sent", at=now)), "sent"
            case "no":
                end = "in_doubt" if under.is_doubted else "failed"
                return _put(world, job, row._replace(status=end)), end
            case "lost" if self._jobs[job].is_marketing or under.is_doubted:
                return _put(world, job, row._replace(status="in_doubt")), "in_doubt"
            case "lost" | "out":
                is_doubted = answer == "lost" or under.is_doubted
                row = row._replace(status="doubted" if is_doubted else "retrying")
                backup = self._backups.get(row.channel)
                if backup and under.via == row.channel:
                    return self._again(world, now, job, row, backup)
                if now >= row.first_at + _DAY:
                    end = "in_doubt" if is_doubted else "failed"
                    return _put(world, job, row._replace(status=end)), end
                return _put(world, job, row), "wait:retry"

    def _resend(self, world: World, now: int, job: int) -> tuple[World, str | _Under]:
        row = world.rows[job]
        if row is None:
            return world, "unknown"
        if row.status == "sent":
            return world, "resolved"
        if row.status != "in_doubt" or now < row.at + 1:
            return world, "conflict"
        freed = _put(world, job, row._replace(status="retrying"))
        if self._hold(freed, now, job, row.channel):
            return world, "conflict"
        return _put(world, job, row._replace(at=now)), _Under("resend", row.via)

    @staticmethod
    def _record_resent(world: World, now: int, job: int, _under: _Under, answer: Answer) -> tuple[World, str | _Under]:
        row = world.rows[job]
        assert row is not None
        if answer == "ok":
            return _put(world, job, row._replace(status="sent", at=now)), "resolved"
        return world, "resolved"

    def _hold(self, world: World, now: int, job: int, channel: str) -> str | None:
        if not self._jobs[job].is_marketing:
            return None
        if any(rule.concerns(channel) and rule.holds(now) for rule in self._rules.quiet):
            return "quiet"
        for cap in self._rules.caps:
            taken = [1 for at, used in self.places(world) if at > now - cap.minutes and cap.concerns(used)]
            if cap.concerns(channel) and len(taken) >= cap.at_most:
                return "capped"
        return None


def _put(world: World, job: int, row: Row) -> World:
    return world._replace(rows=(*world.rows[:job], row, *world.rows[job + 1 :]))
