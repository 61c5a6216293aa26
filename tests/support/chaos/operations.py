"""The record of a chaos run: calls, answers and kills, one JSON line each.

It imports nothing of the product, because `verdict.py` reads it.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line of the record.

    Attributes:
        what: `create`, `cancel`, `retry`, `renew`, `get`, `wait`, `list`, `sweep`, `kill`, `start`
            or `died`.
        who: The user who called.
        at: When it was answered, in seconds since the epoch.
        task: The id of the task.
        asked: The request of a `create`; see `asked_for`.
        status: Status of the task in the answer.
        sha256: Of the finished file, if the answer has it.
        code: Code of the error, if the answer is one.
        tasks: The tasks in the answer of a `list`.
        pid: The worker that was started or killed, or died by itself.
        steps: The steps that a killed worker was inside, as `step workflow`.
    """

    what: str
    who: str = ""
    at: float = 0.0
    task: str = ""
    asked: str = ""
    status: str = ""
    sha256: str = ""
    code: str = ""
    tasks: list[str] = field(default_factory=list[str])
    pid: int = 0
    steps: list[str] = field(default_factory=list[str])


def asked_for(kind: str, params: Mapping[str, object], form: str) -> str:
    """Return a request as text; equal requests have equal texts and equal files."""
    return json.dumps([kind, params, form], sort_keys=True)


class Record:
    """Appends operations to a file at once, so that a crash of the tests loses none.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.operations: list[Operation] = []
        self._path = path

    def add(self, operation: Operation) -> None:
        """Append an operation with the current time."""
        stamped = replace(operation, at=time.time())
        self.operations.append(stamped)
        said = {name: value for name, value in asdict(stamped).items() if value}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")


def read_record(path: Path) -> list[Operation]:
    """Read a record from its file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Operation(**json.loads(line)) for line in lines]
