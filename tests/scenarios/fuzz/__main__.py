"""`python -m tests.scenarios.fuzz --seeds 300`: random journeys in random worlds, held for as long as you like.

Prints each fault with its seed, and what is needed to play it again; exit 1 where there is one. `--show SEED` prints a
seed's journeys and scenario.
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.scenarios.fuzz.checks import faults
from tests.scenarios.fuzz.seeds import cases


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios.fuzz")
    parser.add_argument("--seeds", type=int, default=100, help="how many (a second each, or more, on Temporal)")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--virtual", action="store_true", help="in virtual time only: ten times as fast")
    parser.add_argument("--show", type=int, metavar="SEED", help="print one seed's journeys and scenario")
    given = parser.parse_args()
    if given.show is not None:
        show(given.show)
        return
    number = 0
    for fault in faults(range(given.first, given.first + given.seeds), on_temporal=not given.virtual):
        number += 1
        print(fault, flush=True)
    print(f"{given.seeds} seeds from {given.first}, {number} faults")
    sys.exit(1 if number else 0)


def show(seed: int) -> None:
    """Prints the documents; JSON is YAML, so they can be played as they are."""
    (case,) = cases([seed])
    for document in (*case.journeys, case.scenario):
        print("---")
        print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
