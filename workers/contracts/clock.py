"""Engine time out of server time, for servers whose clock cannot be set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: For the time-skipping server. It ends every workflow after ten years of its time, whatever time-out is asked for: at
#: this rate they are 456 days of the engine's.
SKIPPING_RATE = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Maps the Temporal server's time to the engine's: `origin_engine + (server - origin_server) / rate`.

    Production has none (the two are one). The time-skipping server starts at the machine's own time and runs on with
    it while work is done, so a scenario of last March needs another origin, and a rate of eight server seconds to an
    engine second makes a real latency of 100 ms shrink to 12, far below the second in which work counts as immediate.
    """

    origin_server: datetime
    origin_engine: datetime
    #: Server seconds per engine second.
    rate: float
    #: Whether work takes no time at all, however slow the machine: whatever follows from a moment happens at it.
    is_work_instant: bool = False

    def to_engine(self, server: datetime) -> datetime:
        """The engine's instant at this instant of the server."""
        return self.origin_engine + (server - self.origin_server) / self.rate

    def to_server(self, engine: datetime) -> datetime:
        """The server's instant at this instant of the engine."""
        return self.origin_server + (engine - self.origin_engine) * self.rate

    def server_span(self, span: timedelta) -> timedelta:
        """How long a span of engine time takes the server."""
        return span * self.rate
