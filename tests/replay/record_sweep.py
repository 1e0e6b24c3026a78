"""Records the golden history of a sweep: `python -m tests.replay.record_sweep`, on the embedded dev server.

To be run when the workflow has changed on purpose and no sweep of the old one can be under way any more.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from temporalio.client import Client

from engine.storage.memory import MemoryStore
from tests.factories import Shop
from tests.replay.record import without_machine
from workers import calls
from workers.activities.sweeps import SweepActivity
from workers.connection import quiet_runtime
from workers.embedded import DevServer, choose_port
from workers.worker import sweep_worker

SWEEP = Path(__file__).parent / "sweep.json"


async def record(address: str) -> None:
    """Writes the history of a sweep that found nothing due."""
    client = await Client.connect(address, runtime=quiet_runtime())
    sweeper = Shop(MemoryStore()).engine.sweeper
    sweeps = SweepActivity(sweeper, lambda: datetime.now(UTC), lambda: None)
    with ThreadPoolExecutor(1) as executor:
        async with sweep_worker(client, sweeps, executor):
            handle = await client.start_workflow(calls.SWEEP_WORKFLOW, id="sojourn-sweep", task_queue=calls.SWEEP_QUEUE)
            await handle.result()
            history = await handle.fetch_history()
    document = {"workflow_id": history.workflow_id, "history": without_machine(json.loads(history.to_json()))}
    SWEEP.write_text(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        server = DevServer(Path(folder), port=choose_port("Temporal", 18233, None, set()))
        server.start()
        asyncio.run(record(server.address))
        server.stop()
    sys.stdout.flush()
    # Temporal's client may crash the interpreter's own way out.
    os._exit(0)
