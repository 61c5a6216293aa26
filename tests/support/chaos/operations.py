"""The record of a chaos run: what was asked and answered, and who was killed, a JSON line each.

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
        what: `create`, `cancel`, `retry`, `renew`, `get`, `wait`, `list`, `sweep`, `kill`,
            `start` or `died`.
        who: The user who asked.
        at: When it was answered, in seconds of the epoch.
        task: The task it is about.
        asked: What a `create` asked for; see `asked_for`.
        status: Status of the task in the answer.
        sha256: Of the finished file, if the answer names it.
        code: Code of the error, if that is what was answered.
        tasks: The tasks that a `list` showed.
        pid: The worker that was started or killed, or died by itself.
        steps: What a killed worker was inside of: `step workflow` each.
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
    """Return a request as one text: equal requests have equal texts, and equal files."""
    return json.dumps([kind, params, form], sort_keys=True)


class Record:
    """Appends operations to a file as they happen, so that a crash of the tests loses none.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.operations: list[Operation] = []
        self._path = path

    def add(self, operation: Operation) -> None:
        """Append an operation, stamped with the time."""
        stamped = replace(operation, at=time.time())
        self.operations.append(stamped)
        said = {name: value for name, value in asdict(stamped).items() if value}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")


def read_record(path: Path) -> list[Operation]:
    """Read a record back."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Operation(**json.loads(line)) for line in lines]
