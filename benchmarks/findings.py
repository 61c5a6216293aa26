"""For each goal that was missed: the cause, and how it was found."""

from typing import Final

_MEMORY: Final = (
    "An export of 100,000 rows has one file part and one or two units, so it never holds what the"
    " pipeline holds at most: four units that are read in parallel, and four pieces of 16 MiB on"
    " their way to the bucket, which alone are 64 MiB. From 1,000,000 rows on, all of that is in"
    " use, and the peak hardly grows. What a worker kept beyond it belonged to the allocators: with"
    " Arrow's own pool and glibc's defaults, 3,000,000 rows took 610 MiB; with the settings of"
    " `exports/runtime/memory.py` 385; and with parts of 4 instead of 8 MiB 329."
)

_BY_HAND: Final = (
    "Found with the same export written by hand (`benchmarks/by_hand.py`): the same four"
    " activities, the same queries, requests and file, and nothing else: no fencing, no heartbeats,"
    " no staged part, no check of what the bucket holds, no cancelling. It is in the table, and it"
    " misses the goal too."
)

FINDINGS: Final[dict[tuple[str, str], str]] = {
    ("read", "1,000,000 rows to csv"): (
        "Before it reads, an export asks for the newest `_id`, so that documents inserted later are"
        " left out. MongoDB looks that up in an index; the embedded database reads and sorts the"
        " whole collection. Found by asking for it alone after each export: the table has that"
        " time, and the export without it. An index that begins with `_id` saved a quarter of it."
        " What the pipeline itself adds is hidden behind the database, which answers one command at"
        " a time."
    ),
    ("small", "300 exports, 50 at a time"): (
        "Two processors are busy all the time, so the limit is the processor time of all processes"
        f" together, which is in the table above. {_BY_HAND} The additional cost of ours is in the"
        " worker and in the database: checks of every input and of every decimal's digits (8 ms in"
        " a sampling profile), botocore for one more request (9 % of the worker), and fenced"
        " updates. These changes helped: one activity less, no heartbeat in the first two seconds,"
        " no fetch of a part that the worker still has, workflow code outside of the sandbox, and"
        " updates instead of `findAndModify`, for which the embedded database reads every task."
    ),
    ("small", "one at a time, median"): (
        "The bare workflow spends all of its time in Temporal. An export also waits for six"
        " commands of the database and five requests to the object store, one after the other,"
        f" because each depends on the one before. {_BY_HAND} The defaults of Temporal's"
        " development server would hide this: it looks for new tasks twenty times a second, so that"
        " each step takes 50 ms, and the ratio was 1.00. `dev/servers.py` raises that limit."
    ),
    ("fairness", "200 small exports during one of 5,000,000 rows, one worker: p95"): (
        "No small export waits for a slot (`tests/workflows/test_bulk.py`), but all wait for the"
        " processors: 200 of them keep two processors busy for as long as they take on an idle"
        " worker. The big export takes its share of the same two, in the worker and in the object"
        " store. Fewer slots for heavy steps made no difference; a separate worker with a lower"
        " priority, which docs/production.md recommends, does: see the figures below."
    ),
    ("fairness", "200 small exports during one of 5,000,000 rows, a worker for each kind: p95"): (
        "The worker for heavy steps runs with `nice -n 10`, but Temporal and the object store do"
        " its requests with their own priority. On a separate machine, heavy steps would take"
        " nothing else from small exports."
    ),
    ("memory", "csv, 10,000,000 rows"): _MEMORY,
    ("memory", "ndjson, 10,000,000 rows"): _MEMORY,
    ("memory", "parquet, 10,000,000 rows"): _MEMORY,
    ("memory", "xlsx, 10,000,000 rows"): _MEMORY,
}
"""By name of the benchmark and of the figure."""
