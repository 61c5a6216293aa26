"""Which steps ran to their end: all workers append to one file, a line for each such step.

What a worker has written stays when it is killed, and each line is written as a whole or not at
all. So the file shows whether a step ran once or twice.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Final, Literal

Step = Literal["aggregate", "upload", "done"]
STEPS: Final[tuple[Step, ...]] = ("aggregate", "upload", "done")
FILE: Final = "PEERS_STEPS_FILE"


def ran_to_its_end(task_id: str, step: Step) -> None:
    """Note that a step of an export has done all of its work."""
    line = f"{task_id} {step}\n".encode()
    # POSIX: with O_APPEND, each write is appended as a whole.
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def read(file: Path) -> Counter[tuple[str, str]]:
    """Return how often each step of each export ran to its end, by task id and step."""
    if not file.exists():
        return Counter()
    lines = (line.split() for line in file.read_text("utf-8").splitlines())
    return Counter((task_id, step) for task_id, step in lines)
