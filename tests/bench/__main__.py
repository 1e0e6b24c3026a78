"""`python -m tests.bench [NAME …]`: runs every module here that has a `main()`, or only those named."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence

from tests import bench


def run(names: Sequence[str]) -> None:
    found = [module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")]
    unknown = set(names) - set(found)
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    for name in names or found:
        main = getattr(importlib.import_module(f"tests.bench.{name}"), "main", None)
        if main is not None:
            print(f"── {name}", flush=True)
            main()


if __name__ == "__main__":
    run(sys.argv[1:])
