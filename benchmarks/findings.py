"""For each goal that was missed: the cause, and how it was found."""

from typing import Final

_MEMORY: Final = (
    "The number of rows is not the reason: as many rows in ten exports, one after the other, take"
    " more. Reading takes the same for any number of rows, and so does the upload; what differs is"
    " how much of the freed memory the allocator has not yet given back at the worst moment, and a"
    " longer export has more moments. Found by looking at the memory of the worker during an export"
    " (`/proc/PID/smaps`)."
)
_ROWS: Final = (
    "The floor is the second reference, the shortest program that takes the rows the same way"
    " through the bucket (`benchmarks/shortest.py`): 8.2 times the script for csv, 8.3 times for"
    " ndjson, 2.2 s of processor time for csv. What is above it: some 0.25 s (csv) and 0.4 s"
    " (ndjson) of the workers' processor time are the SHA-256 and MD5 of the file and its parts, by"
    " which a reader and the store show that they hold the right bytes; the rest are Temporal, the"
    " tasks and their progress. In the last step, half of the two processors is the object store's,"
    " which compresses texts; a store on another machine would not take it."
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
        "The floor is the export by hand with the requests of the promises. Alone, an export of"
        " ours takes as long as that one; with many at a time, two processors are busy all the"
        " time, and the limit is the processor time of all processes together, which is in the"
        " table above. What ours needs above the floor is in the worker and in the database: the"
        " export by hand has no fencing, no heartbeats, no hashes, no check of values, no audit"
        " record and no cancelling. How much each of them costs was not measured one by one."
        " These changes helped: one activity less, twice; no"
        " heartbeat in the first two seconds; no fetch of a part that the worker still has;"
        " workflow code outside of the sandbox; no message where nobody is told; a faster"
        " Decimal128; and updates instead of `findAndModify`, for which the embedded database"
        " reads every task. The watcher costs nothing that can be measured."
    ),
    ("script", "csv, 1,000,000 rows"): _ROWS,
    ("script", "csv, 1,000,000 rows: processor time of the workers"): _ROWS,
    ("script", "ndjson, 1,000,000 rows"): _ROWS,
    ("peers", "20 exports, one at a time: p50"): (
        "Temporal stores what each of the three steps has done, one after the other: that is the"
        " time of the bare workflow in the benchmark `small`, and there the floor is the export by"
        " hand with the requests of the promises, which takes as long as ours. With Celery, an"
        " export is one task, which begins anew if its worker is lost, and Redis writes nothing to"
        " disk before it answers."
    ),
    ("fairness", "200 small exports during one of 5,000,000 rows, one worker: p95"): (
        "The floor is what small exports lose to the shortest program that does such work beside"
        " them with a low priority, which is more."
        " No small export waits for a slot (`tests/workflows/test_bulk.py`), but all wait for the"
        " processors: 200 of them keep two processors busy for as long as they take on an idle"
        " worker. The big export gives way to them (decision 35), but does not stand still:"
        " what is left is its share of the same two, in the worker and in the object store. Fewer"
        " slots for heavy steps made no difference."
    ),
    ("fairness", "200 small exports during one of 5,000,000 rows, a worker for each kind: p95"): (
        "A process that takes only heavy steps does not know of small ones, and gives way to none."
        " It runs with `nice -n 10`, but Temporal and the object store do its requests with their"
        " own priority; the shortest program takes more from small exports with the same priority."
        " On a separate machine, heavy steps would take nothing else from them."
    ),
    ("memory", "csv, 10,000,000 rows"): _MEMORY,
    ("memory", "ndjson, 10,000,000 rows"): _MEMORY,
    ("memory", "parquet, 10,000,000 rows"): _MEMORY,
    ("memory", "xlsx, 10,000,000 rows"): _MEMORY,
}
"""By name of the benchmark and of the figure."""
