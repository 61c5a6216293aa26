"""Domain errors: each has a stable code, a sentence for a person, and says whether a retry helps.

The codes are part of the public contract: clients branch on them, the `error.code` of a task
holds one, and a failed workflow carries one as the type of its failure.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from pydantic import JsonValue, ValidationError

_MOST_PROBLEMS: Final = 5
_LONGEST_NAME: Final = 40
_DEEPEST_PATH: Final = 8


class ExportError(Exception):
    """Base of every error that this service raises on purpose.

    Attributes:
        code: Stable code, part of the public contract.
        permanent: True when the same call can't succeed on a retry.
        exit_code: What a program exits with: 2 for bad input, 3 if a server is away.
        msg: What was wrong and what would be right, for the person who asked. Holds no secret.
    """

    code: ClassVar[str] = "E_INTERNAL"
    permanent: ClassVar[bool] = True
    exit_code: ClassVar[int] = 2

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg


class ActionError(ExportError):
    """The envelope names an action that does not exist."""

    code = "E_ACTION"


class RequestError(ExportError):
    """The request is not of the right shape."""

    code = "E_REQUEST"


class TypeUnknownError(ExportError):
    """No report of that type is configured."""

    code = "E_TYPE"


class ParamsError(ExportError):
    """The parameters do not fit the report."""

    code = "E_PARAMS"


class FormatUnknownError(ExportError):
    """No such file format."""

    code = "E_FORMAT"


class FormatLimitError(ExportError):
    """The rows do not fit into the file format."""

    code = "E_FORMAT_LIMIT"


class TooLargeError(ExportError):
    """Something is larger than what has to carry it, and would be so again."""

    code = "E_TOO_LARGE"


class IdempotencyKeyError(ExportError):
    """The idempotency key has been used for another request."""

    code = "E_IDEMPOTENCY_KEY"


class TaskNotFoundError(ExportError):
    """No such task, or somebody else's: the two are the same for the person who asks."""

    code = "E_NOT_FOUND"


class TaskStateError(ExportError):
    """The task is in a status that does not allow this."""

    code = "E_STATE"


class FileExpiredError(ExportError):
    """The file has been removed; only a new export brings it back."""

    code = "E_EXPIRED"


class TaskInvalidError(ExportError):
    """The stored document is not a task that can be run."""

    code = "E_TASK"


class TaskLostError(ExportError):
    """The task is gone, has ended, or belongs to another run: this run may not write any more."""

    code = "E_TASK_LOST"


class CollectionMissingError(ExportError):
    """The collection that the report reads does not exist."""

    code = "E_COLLECTION"


class PipelineError(ExportError):
    """The database refused the aggregation as such."""

    code = "E_PIPELINE"


class MismatchError(ExportError):
    """A document has a value that does not fit the declared type of its column."""

    code = "E_MISMATCH"


class SourceAccessError(ExportError):
    """The database refused the credentials or the permission."""

    code = "E_SOURCE_ACCESS"


class SourceUnavailableError(ExportError):
    """The source database can't be reached or did not answer in time."""

    code = "E_SOURCE"
    permanent = False
    exit_code = 3


class DatabaseUnavailableError(ExportError):
    """The database that holds the tasks can't be reached or did not answer in time."""

    code = "E_DATABASE"
    permanent = False
    exit_code = 3


class DatabaseAccessError(ExportError):
    """The database that holds the tasks refused the credentials."""

    code = "E_DATABASE_ACCESS"


class DatabaseRefusedError(ExportError):
    """The database that holds the tasks refused a command as such."""

    code = "E_DATABASE_REFUSED"


class ClockError(ExportError):
    """The clock of a machine is wrong, so that it can neither sign nor purge."""

    code = "E_CLOCK"
    permanent = False  # another worker may have a better one


class BucketMissingError(ExportError):
    """The bucket does not exist."""

    code = "E_BUCKET"


class StoreAccessError(ExportError):
    """The object store refused the keys or the permission."""

    code = "E_STORE_ACCESS"


class StoreRefusedError(ExportError):
    """The object store refused a request as such, or is not where it is looked for."""

    code = "E_STORE_REFUSED"


class StoreUnavailableError(ExportError):
    """The object store can't be reached, or failed in a way that may pass."""

    code = "E_STORE"
    permanent = False
    exit_code = 3


class DownloadError(ExportError):
    """The finished file could not be fetched through its link, or not be put where it belongs."""

    code = "E_DOWNLOAD"
    permanent = False


class StagingError(ExportError):
    """A staged part is missing or is not what was staged."""

    code = "E_STAGING"


class StepTimeoutError(ExportError):
    """One attempt at a step took longer than it may."""

    code = "E_STEP_TIMEOUT"
    permanent = False


class WorkerLostError(ExportError):
    """Worker after worker went away during the same step."""

    code = "E_WORKER_LOST"


class ReportChangedError(ExportError):
    """A worker has another definition of the report than the one that the export was planned by."""

    code = "E_REPORT_CHANGED"


class ReportsFileError(ExportError):
    """The reports file has a mistake."""

    code = "E_REPORTS"


class SettingsError(ExportError):
    """A setting is missing or wrong."""

    code = "E_SETTINGS"


class EncryptionKeyError(ExportError):
    """A payload is encrypted, and none of the keys here opens it."""

    code = "E_ENCRYPTION_KEY"
    permanent = False


class CodecAccessError(ExportError):
    """The codec server does not let this request in."""

    code = "E_CODEC_ACCESS"


class ScheduleMissingError(ExportError):
    """The Schedule has not been created yet."""

    code = "E_SCHEDULE"


class UnreachableError(ExportError):
    """Temporal did not answer, or a server could not be reached at start; says which."""

    code = "E_UNREACHABLE"
    permanent = False
    exit_code = 3


class TemporalRefusedError(ExportError):
    """Temporal refused a request as such."""

    code = "E_TEMPORAL"


class UnexpectedError(ExportError):
    """What nobody expected; a fault in this service."""

    code = "E_INTERNAL"
    permanent = False


class WaitTimeoutError(ExportError):
    """The export had not ended when the caller's patience did; it goes on by itself."""

    code = "E_TIMEOUT"
    permanent = False


def refused(error: ExportError) -> dict[str, JsonValue]:
    """Return an error as clients get it: `{"ok": false, "error": {"code", "msg"}}`."""
    return {"ok": False, "error": {"code": error.code, "msg": error.msg}}


def explain(error: ValidationError) -> str:
    """Say what pydantic found, in one sentence, without repeating the value that was given.

    Names the first few problems only, and long names of unknown fields in part.

    Args:
        error: What `model_validate` raised.

    Returns:
        For example ``month: Input should be less than or equal to 12; day: not a parameter here``.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{_path(item['loc'])}: {_reason(item['type'], item['msg'])}"
        for item in found[:_MOST_PROBLEMS]
    )


def _path(parts: Sequence[int | str]) -> str:
    shown = [_shown(part) for part in parts[:_DEEPEST_PATH]]
    return ".".join([*shown, "..."] if len(parts) > _DEEPEST_PATH else shown) or "input"


def _shown(part: int | str) -> str:
    # The name of an unknown field is whatever the client made up.
    text = "".join(character if character.isprintable() else "?" for character in str(part))
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not known here"
    return message.removeprefix("Value error, ")
