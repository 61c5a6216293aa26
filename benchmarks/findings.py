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
    "Found with the same export written by hand (`benchmarks/by_hand.py`): the same three"
    " activities, the same queries, requests and file, and nothing else: no fencing, no heartbeats,"
    " no check of what the bucket holds, no cancelling. It is in the table, and it misses the goal"
    " too."
)
_ROWS: Final = (
    "What decoding and encoding alone reach, in one process, is in the table as the second"
    " reference (`benchmarks/in_memory.py`): for csv, Parquet and xlsx, that is less than the goal,"
    " too. In a sampling profile"
    " of the worker (csv), a fifth is the making of the replayed batches, which is part of all"
    " figures; a quarter is decoding; botocore and its sockets, for parts that go to the bucket and"
    " come back and for the file, take 17 %; encoding 8 %; staging 5 %. The object store takes"
    " another 40 % of what the worker does. To leave the staged parts out would save a tenth, and a"
    " lost worker would then cost all rows that it had read."
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
        " worker and in the database: the embedded database keeps the indexes of the tasks, which"
        " the export by hand does not have, at each update; the worker asks whether the file is in"
        " the bucket, reads by which channels the person is told, and makes the preview. These"
        " changes helped: one activity less, twice; no heartbeat in the first two seconds; no fetch"
        " of a part that the worker still has; workflow code outside of the sandbox; no message"
        " where nobody is told; a faster Decimal128; and updates instead of `findAndModify`, for"
        " which the embedded database reads every task."
    ),
    ("small", "one at a time, median"): (
        "The bare workflow spends all of its time in Temporal. An export also waits for six"
        " commands of the database and four requests to the object store, one after the other,"
        f" because each depends on the one before. {_BY_HAND} The defaults of Temporal's"
        " development server would hide this: it looks for new tasks twenty times a second, so that"
        " each step takes 50 ms, and the ratio was 1.00. `dev/servers.py` raises that limit."
    ),
    ("script", "csv, 1,000,000 rows"): _ROWS,
    ("script", "ndjson, 1,000,000 rows"): _ROWS,
    ("script", "parquet, 1,000,000 rows"): _ROWS,
    ("script", "xlsx, 100,000 rows"): _ROWS,
    ("peers", "20 exports, one at a time: p50"): (
        "Temporal stores what each of the three steps has done, one after the other: that is the"
        " time of the bare workflow in the benchmark `small`. With Celery, an export is one task,"
        " which begins anew if its worker is lost, and Redis writes nothing to disk before it"
        " answers."
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
