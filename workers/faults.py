"""Reports of defects that hold nobody's data."""

from __future__ import annotations


def places(error: BaseException) -> str:
    """Where it was raised, a line for each frame, the innermost last: enough to find a defect without its text."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"\n  {code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return "".join(lines)
