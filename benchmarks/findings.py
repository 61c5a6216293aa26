"""For each goal that is missed: what the limit is, and how that was established."""

from typing import Final

_MEMORY: Final = (
    "An export of 100,000 rows has one file part and one or two units, so that it never holds what"
    " the pipeline holds at most: four units that read side by side, and four pieces of 16 MiB on"
    " their way to the bucket, which alone are 64 MiB. From 1,000,000 rows on, all of that is in"
    " use, and the peak hardly grows any more. What a worker keeps beyond it was the allocators':"
    " with Arrow's own pool and glibc's defaults, 3,000,000 rows took 610 MiB, with the settings of"
    " `exports/memory.py` 385, and with parts of 4 instead of 8 MiB 329."
)

FINDINGS: Final[dict[tuple[str, str], str]] = {
    ("small", "300 exports, 50 at a time"): (
        "Two processors are busy all the time, so the limit is the processor time of all processes"
        " together, which the table above has. Temporal spends about the same on an export as on"
        " the bare workflow. The rest is the real work: six commands of the database, three"
        " requests to the object store, in the servers and in the worker, where a sampling profile"
        " gives 13 % of the time to botocore and 9 % to pymongo. Before this was looked at, the"
        " ratio was 0.40; what helped was one activity less, no heartbeat in the first two seconds,"
        " no fetch of a part that is at hand, workflow code outside of the sandbox, and updates"
        " instead of `findAndModify`, for which the embedded database looks at every task."
    ),
    ("small", "one at a time, median"): (
        "The bare workflow spends all of its time in Temporal. An export waits for six commands"
        " (0.5 to 2 ms each) and three requests (2 to 3 ms each) besides, one after the other,"
        " because each depends on the one before; recorded one by one, they are 15 to 20 ms, and"
        " botocore, threads and the encoder about as much again. Temporal's development server as"
        " it comes would hide this: it looks for new tasks twenty times a second, so that each step"
        " takes 50 ms, and the ratio was 1.00. `dev/servers.py` raises that limit."
    ),
    ("fairness", "200 small exports beside 5,000,000 rows: p95"): (
        "No small export waits for a slot (`tests/test_bulk.py`), but all wait for the processors:"
        " at 146 ms of processor time each, 200 of them keep two processors busy for 14.6 s, which"
        " is what they take on an idle worker. The big export takes its share of the same two, in"
        " the worker and in the object store. Fewer slots for heavy steps made no difference. Not"
        " tried yet: a worker for heavy steps alone (`EXPORTS_WORKER_TAKES`) with a lower priority."
    ),
    ("memory", "csv, 10,000,000 rows"): _MEMORY,
    ("memory", "ndjson, 10,000,000 rows"): _MEMORY,
    ("memory", "parquet, 10,000,000 rows"): _MEMORY,
    ("memory", "xlsx, 10,000,000 rows"): _MEMORY,
}
"""By name of the benchmark and of the figure."""
