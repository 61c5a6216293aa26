"""`make docs`: writes the pages of docs/ that are generated from the code.

python -m dev.pages
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel, TypeAdapter

from exports import errors
from exports.api.errors import STATUS
from exports.api.settings import ApiSettings
from exports.codec_server.settings import CodecSettings
from exports.errors import ExportError
from exports.message_settings import MessageSettings
from exports.models import TaskStatus
from exports.server_errors import mongo, store, temporal
from exports.server_errors.translation import Translation
from exports.settings import Settings

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"

# What a status means, and which ones may follow it.
_STATUSES: Final = {
    TaskStatus.PENDING: (
        "Waits for its first run, or for the next attempt at `nextRunAt`",
        "`running`, `done`, `failed`, `cancelled`",
    ),
    TaskStatus.RUNNING: ("A run is at work", "`pending`, `done`, `failed`, `cancelled`"),
    TaskStatus.DONE: ("The file is there; its link is valid until `expiresAt`", "`expired`"),
    TaskStatus.FAILED: ("The export failed; `error` says why", "`pending`, by `exports retry ID`"),
    TaskStatus.CANCELLED: ("Stopped on request; nothing of it is left in the bucket", "–"),
    TaskStatus.EXPIRED: ("The file of a finished export has been removed", "–"),
}


def main() -> None:
    """Write the pages."""
    for name, text in pages():
        (DOCS / name).write_text(text, encoding="utf-8")


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    yield "errors.md", _errors()
    yield "configuration.md", _configuration()


def _errors() -> str:
    return f"""\
# Statuses and errors

`make docs` writes this page from the code: from [exports/errors.py](../exports/errors.py) and \
[exports/server_errors/](../exports/server_errors/).

## Statuses

`status` in the document of a task. While a run owns the task, only that run changes it.

{_table(("status", "meaning", "can become"), _statuses())}

## Error codes

The code is in `error.code` of the task, in the failure type of the workflow, and in the answers \
of the command line, of the HTTP API and of the envelope. A run retries an error if a retry can \
help, up to the task's `maxRetries`; it fails at once with any other.

{_table(("code", "meaning", "a retry can help", "who can fix it", "HTTP API"), _codes())}

## Errors of the servers

An error of a server becomes one of these codes, with a message. `…` stands for the collection, \
the bucket or the address, and for the server's own code. The server's own text is never shown, \
because it may contain a row or a key. An error that is not listed may pass: it is retried. If the \
error says that the server is away, it is "waited for": an attempt asks again, for \
`EXPORTS_OUTAGE_PATIENCE`, before it counts as failed.

### MongoDB

By error code, unless the error has one of the labels {_names(mongo.PASSING_LABELS)}.

{_table(("MongoDB's error", "when a report is read", "when a task is read or written"), _mongo())}

### The object store

By the code in the answer, or else by the HTTP status. The codes are those of AWS S3, Tencent \
COS, MinIO and SeaweedFS. An exception of botocore, without an answer of the store, has its class \
here.

{_table(("code, status or class", "becomes"), _store())}

### Temporal

By gRPC status. A status that is an answer, such as `NOT_FOUND` for a workflow, is not an error.

{_table(("gRPC status", "becomes"), _temporal())}
"""


def _configuration() -> str:
    return f"""\
# Configuration

`make docs` writes this page from the code. All settings are environment variables; an empty \
variable is not set. A duration is in seconds or in ISO 8601: `1800` or `PT30M`.

## Workers and clients

{_table(("variable", "default", "meaning"), _settings(Settings, but=MessageSettings))}

## Messages

Workers and clients read these as well. E-mail, WeChat and webhooks need the extra `messages`: \
`pip install temporal-exports[messages]`.

{_table(("variable", "default", "meaning"), _settings(MessageSettings))}

## The HTTP API

`exports api` reads these, and those of clients above. It needs the extra `api`: \
`pip install temporal-exports[api]`.

{_table(("variable", "default", "meaning"), _settings(ApiSettings))}

## The codec server

`exports codec-server` reads only these. It needs the extra `codec`: \
`pip install temporal-exports[codec]`.

{_table(("variable", "default", "meaning"), _settings(CodecSettings))}

## Temporal

The connection to Temporal is set as for every Temporal tool: `TEMPORAL_ADDRESS` \
(`localhost:7233` by default), `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, and the \
profiles of its \
[TOML file](https://docs.temporal.io/references/client-environment-configuration).
"""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _statuses() -> Iterator[tuple[str, ...]]:
    for status in TaskStatus:
        yield (f"`{status.value}`", *_STATUSES[status])


def error_classes() -> list[type[ExportError]]:
    """Return the classes of all codes, in the order of their module."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, ExportError) and kind is not ExportError]


def _codes() -> Iterator[tuple[str, ...]]:
    for kind in error_classes():
        meaning, _, _ = (kind.__doc__ or "").partition("\n")
        helps = "no" if kind.permanent else "yes"
        status = str(STATUS[kind.code])
        yield f"`{kind.code}`", meaning.removesuffix("."), helps, kind.fixed_by, status


def _mongo() -> Iterator[tuple[str, ...]]:
    rows = [(_listed(row.codes), row) for row in mongo.MONGO]
    rows += [
        ("any other code", mongo.OTHER_CODES),
        ("any error with one of the labels", mongo.PASSING),
        ("no code: no connection, no primary", mongo.NO_CODE),
        ("no code: no answer in time", mongo.NO_ANSWER),
        ("a value that the driver can't encode or decode", mongo.NOT_BSON),
    ]
    for name, row in rows:
        yield name, _becomes(row.source), _becomes(row.tasks)


def _store() -> Iterator[tuple[str, ...]]:
    for row in store.STORE:
        statuses = [str(status) for status in row.statuses]
        yield _names([*row.codes, *statuses, *row.classes]), _becomes(row.translation)
    yield "any other code or status", _becomes(store.OTHER_ANSWERS)
    yield "any other class", _becomes(store.NO_ANSWER)


def _temporal() -> Iterator[tuple[str, ...]]:
    for status, translation in temporal.TEMPORAL.items():
        yield f"`{status.name}`", _becomes(translation)
    yield "any other", _becomes(temporal.OTHER_STATUSES)


def _becomes(translation: Translation) -> str:
    message = translation.sentence.format(where="…", what="…")
    waits = ", waited for" if translation.away else ""
    return f"`{translation.error.code}`{waits}: {message}"


def _listed(codes: Mapping[int, str]) -> str:
    return ", ".join(f"{code} {name}" for code, name in codes.items())


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _settings(
    settings: type[BaseModel], *, but: type[BaseModel] | None = None
) -> Iterator[tuple[str, ...]]:
    for name, field in settings.model_fields.items():
        if but is not None and name in but.model_fields:
            continue
        default = "required" if field.is_required() else _default(field.default)
        yield f"`EXPORTS_{name.upper()}`", default, field.description or ""


def _default(value: object) -> str:
    if value in (None, "", ()):
        return "not set"
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if isinstance(value, timedelta):
        value = TypeAdapter(timedelta).dump_python(value, mode="json")
    return f"`{value}`"


if __name__ == "__main__":
    main()
