"""The offline checker: finds the promises that the evidence of a chaos run shows broken.

It reads the evidence and knows the promises, and nothing else: no server, no clock and nothing of
the product, which a test checks. Every finding is a sentence that names the task.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from tests.support.chaos.evidence import Content, Evidence, Run
from tests.support.chaos.operations import Operation, asked_for

_TERMINAL: Final = ("done", "failed", "cancelled", "expired")
_CLOSED_AS: Final = {"done": "COMPLETED", "expired": "COMPLETED", "failed": "FAILED"}
_SLACK: Final = 2.0  # seconds: the time of a signature has no fractions
_NOT_FOUND: Final = "E_NOT_FOUND"
_STATE: Final = "E_STATE"
# A retried task may have been cancelled between two runs: its last run may not show that.
_ANY_END: Final = ("COMPLETED", "FAILED", "CANCELED")


def findings(evidence: Evidence) -> list[str]:
    """Return every promise that the evidence shows broken; an empty list if all were kept."""
    return list(_Case(evidence).findings())


class _Case:
    def __init__(self, evidence: Evidence) -> None:
        self._seen = evidence
        self._tasks = {str(task["_id"]): task for task in evidence.tasks}

    def findings(self) -> Iterator[str]:
        yield from self._every_request_is_there()
        yield from self._every_task_was_requested()
        for task_id, task in self._tasks.items():
            yield from self._ended(task_id, task)
            yield from self._file(task_id, task)
            yield from self._closed(task_id, task["status"])
        yield from self._nothing_else()
        for operation in self._seen.operations:
            yield from self._answer_was_true(operation)
            yield from self._own_only(operation)
        yield from self._no_worker_died()

    @cached_property
    def _created(self) -> dict[str, Operation]:
        return {
            operation.task: operation
            for operation in self._seen.operations
            if operation.what == "create" and operation.task
        }

    @cached_property
    def _retried(self) -> dict[str, list[float]]:
        accepted: dict[str, list[float]] = defaultdict(list)
        for operation in self._seen.operations:
            if operation.what == "retry" and not operation.code:
                accepted[operation.task].append(operation.at)
        return accepted

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {task_id: task["createdBy"] for task_id, task in self._tasks.items()}

    def _retried_since(self, operation: Operation) -> bool:
        return any(at >= operation.at for at in self._retried.get(operation.task, ()))

    def _every_request_is_there(self) -> Iterator[str]:
        for task_id, operation in self._created.items():
            task = self._tasks.get(task_id)
            if task is None:
                yield f"{task_id} was created for {operation.who} and is lost"
                continue
            if task["createdBy"] != operation.who:
                yield f"{task_id} was created for {operation.who} and is {task['createdBy']}'s"
            if _asked(task) != operation.asked:
                yield f"{task_id} is not what {operation.who} asked for: {operation.asked}"

    def _every_task_was_requested(self) -> Iterator[str]:
        # A create that ended in an error may have stored its task before.
        unanswered = Counter(
            (operation.who, operation.asked)
            for operation in self._seen.operations
            if operation.what == "create" and not operation.task
        )
        for task_id, task in self._tasks.items():
            who = (task["createdBy"], _asked(task))
            if task_id in self._created:
                continue
            if not unanswered[who]:
                yield f"{task_id} of {task['createdBy']} is there and nobody asked for it"
            unanswered[who] -= 1

    def _ended(self, task_id: str, task: dict[str, Any]) -> Iterator[str]:
        if task["status"] not in _TERMINAL:
            yield f"{task_id} has not ended: {task['status']}"
        if not 0 <= task["retries"] <= task["maxRetries"]:
            yield f"{task_id} has {task['retries']} retries of {task['maxRetries']}"
        if task["status"] == "failed":
            error: dict[str, Any] = task.get("error") or {}
            code = error.get("code")
            if not code:
                yield f"{task_id} failed and does not say why"
            elif code != self._seen.may_fail.get(_asked(task)):
                yield f"{task_id} failed with {code}, and nothing but workers was disturbed"
        elif task["retries"] and not self._seen.may_fail.get(_asked(task)):
            yield f"{task_id} was charged {task['retries']} attempts for workers that were killed"

    def _file(self, task_id: str, task: dict[str, Any]) -> Iterator[str]:
        mine = [key for key in self._seen.objects if key.split("/")[1:2] == [task_id]]
        if task["status"] != "done":
            if mine:
                yield f"{task_id} is {task['status']} and has {len(mine)} objects: {mine}"
            if task.get("downloadUrl"):
                yield f"{task_id} is {task['status']} and has a link"
            return
        key = str(task.get("objectKey"))
        preview = f"{key.rpartition('/')[0]}/preview.json"
        if sorted(mine) != [key, preview] or not key.startswith("files/"):
            yield f"{task_id} is done, its file is {key}, and there are: {mine}"
            return
        content = self._seen.objects[key]
        reference = self._seen.references.get(_asked(task))
        if reference is None:
            yield f"{task_id}: there is no reference for {_asked(task)}"
        elif content != reference:
            yield f"{task_id} is done with other bytes than without faults: {_asked(task)}"
        if (task["bytes"], task["sha256"]) != (content.size, content.sha256):
            yield f"{task_id} names another size or sha256 than its file has"
        yield from self._link(task_id, task["expiresAt"] / 1000, content)

    def _link(self, task_id: str, expires: float, content: Content) -> Iterator[str]:
        found = self._seen.downloads.get(task_id)
        if found is None:
            yield f"{task_id} is done and has no link"
        elif found.ended < expires and found.content != content:
            yield f"{task_id} has a link that does not lead to its file"
        elif found.began > expires + _SLACK and found.content == content:
            yield f"{task_id} has a link that is good for longer than it says"

    def _closed(self, task_id: str, status: str) -> Iterator[str]:
        runs = sorted(
            (run for run in self._seen.runs if run.workflow == f"export-{task_id}"),
            key=lambda run: run.started,
        )
        again = task_id in self._retried
        if not runs:
            if not (again or status == "cancelled"):
                yield f"{task_id} is {status} and never had a run"
            return
        for run in runs:
            if run.status not in _ANY_END:
                yield f"{task_id} has a run that is {run.status}"
        last: Run = runs[-1]
        allowed = _ANY_END if again else (_CLOSED_AS.get(status, "CANCELED"),)
        if last.status not in allowed:
            yield f"{task_id} is {status}, and its last run closed as {last.status}"

    def _nothing_else(self) -> Iterator[str]:
        for key in self._seen.objects:
            if key.startswith("staging/"):
                yield f"a staged part is left: {key}"
            elif key.split("/")[1:2] not in [[task_id] for task_id in self._tasks]:
                yield f"an object belongs to no task: {key}"
        for key in self._seen.open_uploads:
            yield f"a multipart upload is left open: {key}"
        for run in self._seen.runs:
            if run.workflow.removeprefix("export-") not in self._tasks:
                yield f"a run belongs to no task: {run.workflow}"

    def _answer_was_true(self, operation: Operation) -> Iterator[str]:
        task = self._tasks.get(operation.task)
        if task is None:
            if operation.task and not operation.code and operation.what != "create":
                yield f"{operation.who} got an answer about {operation.task}, which is lost"
            return
        told, now = operation.status, task["status"]
        if told in ("done", "cancelled", "expired") or (
            told == "failed" and not self._retried_since(operation)
        ):
            purged = (told, now) == ("done", "expired")
            if told != now and not purged:
                yield f"{operation.who} was told that {operation.task} is {told}; it is {now}"
        if operation.sha256 and operation.sha256 != task.get("sha256"):
            yield f"{operation.task} had another file when {operation.who} saw it"
        refused = operation.what == "cancel" and operation.code == _STATE
        if refused and now == "cancelled" and not self._retried_since(operation):
            yield f"{operation.who} was told that {operation.task} can't be cancelled; it was"

    def _own_only(self, operation: Operation) -> Iterator[str]:
        owner = self._owners
        if operation.what == "list":
            for task_id in operation.tasks:
                if owner.get(task_id) != operation.who:
                    yield f"{operation.who} saw {task_id} of {owner.get(task_id)} in a list"
        elif operation.who and operation.task in owner and owner[operation.task] != operation.who:
            if operation.code != _NOT_FOUND:
                yield (
                    f"{operation.who} did {operation.what} on {operation.task} of "
                    f"{owner[operation.task]}: {operation.code or operation.status}"
                )
        elif operation.who and operation.task in owner and operation.code == _NOT_FOUND:
            yield f"{operation.who} was told that their own {operation.task} is not there"

    def _no_worker_died(self) -> Iterator[str]:
        for operation in self._seen.operations:
            if operation.what == "died":
                yield f"worker {operation.pid} ended by itself: {operation.code}"
            if operation.what == "kill" and not operation.steps:
                yield f"worker {operation.pid} was killed while it did nothing"


def _asked(task: dict[str, Any]) -> str:
    return asked_for(task["type"], task["params"], task["format"])
