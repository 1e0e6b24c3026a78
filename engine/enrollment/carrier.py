"""Who carries enrollments: Temporal workflows in production and under the second driver, a heap in virtual time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.enrollment.model import Enrollment, Stimulus


class Carrier(Protocol):
    """Delivers what concerns enrollments to whatever runs their interpreters."""

    def deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> Mapping[int, Exception]:
        """Hands over inputs of different enrollments, at least once; a `Started` begins the carrying. Repeats are
        harmless.

        Returns those that were refused, by `seq`. Raises where nothing at all is taken at present.
        """
        ...
