"""Who carries enrollments: Temporal workflows in production and under the second driver, a heap in virtual time."""

from __future__ import annotations

from typing import Protocol

from engine.enrollment.model import Enrollment, Stimulus


class Carrier(Protocol):
    """Delivers what concerns an enrollment to whatever runs its interpreter."""

    def deliver(self, stimulus: Stimulus, enrollment: Enrollment) -> None:
        """Hands over one input, at least once; a `Started` begins the carrying. Repeats are harmless."""
        ...
