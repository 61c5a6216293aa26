"""`exports create`: create an export, and if asked to, follow it and download its file."""

import getpass
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exports.cli.boundary import EXPORT_FAILED, INTERRUPTED, with_client
from exports.cli.output import estimate_grid, print_json, say, show, task_parts
from exports.cli.progress import ProgressView
from exports.download import check_destination, download
from exports.errors import RequestError
from exports.models import TaskStatus
from exports.settings import Settings
from exports.tasks.task import ExportTask

if TYPE_CHECKING:
    from exports.client import ExportClient


_NOBODY: Final = "none"


@dataclass(frozen=True)
class NewExport:
    """An export as it was asked for on the command line."""

    type: str
    params: dict[str, str | list[str]]
    format: str
    created_by: str
    idempotency_key: str | None = None
    force: bool = False
    notify: list[str] | None = None


def parse_params(pairs: Iterable[str]) -> dict[str, str | list[str]]:
    """Return `["region=north", "region=south"]` as a mapping; a name given twice is a list.

    Raises:
        RequestError: One has no `=`.
    """
    given: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise RequestError("A parameter must have the form name=value: -p year=2026.")
        given.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in given.items()}


def parse_notify(channels: list[str] | None) -> list[str] | None:
    """Return the channels of `--notify`; `none` stands for nobody, and None for the default.

    Raises:
        RequestError: `none` is given together with a channel.
    """
    if channels is None or _NOBODY not in channels:
        return channels
    if set(channels) != {_NOBODY}:
        raise RequestError("`--notify none` means that nobody is told; give no channel with it.")
    return []


def login_name() -> str:
    """Return the login name of the user.

    Raises:
        RequestError: The system has none, as in many containers.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise RequestError(
            "This system has no login name. Give the owner of the export: --created-by USER."
        ) from None


def create_export(new: NewExport, *, wait: bool, output: str | None, as_json: bool) -> int:
    """Create an export, and if asked to, wait for it and download its file.

    Args:
        new: The export.
        wait: Follow it until it has ended.
        output: File or directory for the finished file; implies `wait`.
        as_json: Print the task as JSON.

    Returns:
        The exit code.
    """
    destination = None if output is None else check_destination(output)
    following = _Following(new, until_ended=wait or destination is not None)
    try:
        task = following.result()
        if destination is not None and task.status in (TaskStatus.DONE, TaskStatus.EXPIRED):
            trusted = Settings.load().s3_ca_bundle
            say(f"Saved to {download(task, destination, ca_bundle=trusted)}")
    except KeyboardInterrupt:
        if following.task and following.task.status is TaskStatus.DONE:
            say(f"The file was not saved. For its link: exports show {following.task.id}")
        if as_json and following.task:
            _print_json(following.task, joined=following.joined)
        return INTERRUPTED
    if as_json:
        _print_json(task, joined=following.joined)
    else:
        show(*task_parts(task))
    return EXPORT_FAILED if task.status in (TaskStatus.FAILED, TaskStatus.CANCELLED) else 0


def estimate_export(new: NewExport, *, as_json: bool) -> None:
    """Check an export as if it were created, and say what would come of it."""
    estimate = with_client(
        lambda client: client.estimate(
            new.type,
            new.params,
            created_by=new.created_by,
            format=new.format,
            notify=new.notify,
        )
    )
    if as_json:
        print_json(estimate)
    else:
        show(estimate_grid(estimate))


def _print_json(task: ExportTask, *, joined: bool) -> None:
    print_json({**task.model_dump(mode="json", by_alias=True), "joined": joined})


class _Following:
    """Creates an export and follows it; keeps the last state seen in case of an interruption."""

    def __init__(self, new: NewExport, *, until_ended: bool) -> None:
        self.task: ExportTask | None = None
        self.joined = False
        self._new = new
        self._until_ended = until_ended

    def result(self) -> ExportTask:
        try:
            return with_client(self._run)
        finally:
            if self.task and not self.task.status.ended:
                say(f"The export continues. For its status: exports show {self.task.id}")

    async def _run(self, client: "ExportClient") -> ExportTask:
        new = self._new
        created = await client.create(
            new.type,
            new.params,
            created_by=new.created_by,
            format=new.format,
            idempotency_key=new.idempotency_key,
            force=new.force,
            notify=new.notify,
        )
        self.task, self.joined = created, created.joined
        if created.joined:
            say(f"Export {created.id} is the same, asked for before. --force makes a new one.")
        elif self._until_ended:
            say(f"Export {created.id}")
        if self._until_ended:
            with ProgressView() as view:
                async for task in client.watch(created.id, created_by=new.created_by):
                    self.task = task
                    view.update(task)
        return self.task
