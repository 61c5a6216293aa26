"""The errors of this service: each has a stable code, and says whether a retry can help.

The codes are part of the public interface: clients branch on them, `error.code` of a task has
one, and the failure of a workflow has one as its type. The table of codes in `docs/errors.md` is
generated from this module: the meaning of a code is the first sentence of its class.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Final, Literal

from pydantic import JsonValue, ValidationError

from exports.characters import can_mislead

_MAX_PROBLEMS: Final = 5
_MAX_NAME_CHARACTERS: Final = 40
_MAX_PATH_PARTS: Final = 8

Server = Literal["database", "source", "store", "temporal"]
"""A server that may be away: the database of the tasks, the one that reports read, the object store
and Temporal."""


class ExportError(Exception):
    """Base of every error that this service raises on purpose.

    Attributes:
        code: Stable code, part of the public interface.
        fixed_by: Who can put it right, as `docs/errors.md` shows it.
        permanent: Whether the same call would fail again. A run retries other errors.
        exit_code: What a program exits with: 2 for wrong input, 3 if a server can't be reached.
        msg: What is wrong and what would be right, for the person who asked. Has no secret in it.
        fields: What is wrong with which field of the input, if that is known: see `problems`.
        away: The server that is to blame, if the same request may succeed once it is back.
    """

    code: ClassVar[str] = "E_INTERNAL"
    fixed_by: ClassVar[str] = "the developers"
    permanent: ClassVar[bool] = True
    exit_code: ClassVar[int] = 2
    away: Server | None = None

    def __init__(self, msg: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(msg)
        self.msg = msg
        self.fields = dict(fields or {})


class ActionError(ExportError):
    """The envelope names an action that does not exist."""

    code = "E_ACTION"
    fixed_by = "who asked"


class RequestError(ExportError):
    """The request does not have the required form."""

    code = "E_REQUEST"
    fixed_by = "who asked"


class PathUnknownError(ExportError):
    """The HTTP API has no such path."""

    code = "E_PATH"
    fixed_by = "who asked"


class MethodError(ExportError):
    """The path of the HTTP API does not have this method; the header `Allow` says which it has."""

    code = "E_METHOD"
    fixed_by = "who asked"


class MediaTypeError(ExportError):
    """The body of an HTTP request is not JSON, or does not say so."""

    code = "E_MEDIA_TYPE"
    fixed_by = "who asked"


class TokenError(ExportError):
    """The HTTP request has no token, or one that is wrong, has expired or was revoked."""

    code = "E_TOKEN"
    fixed_by = "who asked: a new token"


class OriginError(ExportError):
    """A page of another origin tried to change something with the session of a browser."""

    code = "E_ORIGIN"
    fixed_by = "who asked; behind a proxy, the operator: `EXPORTS_API_ORIGIN`"


class OperatorError(ExportError):
    """Only an operator may do this."""

    code = "E_OPERATOR"
    fixed_by = "who asked"


class RateError(ExportError):
    """Something is done too often, or too many streams are open; `Retry-After` says until when.

    Attributes:
        retry_after: In how many seconds one more is allowed.
    """

    code = "E_RATE"
    fixed_by = "who asked: less often"
    permanent = False

    def __init__(self, msg: str, *, retry_after: float = 1) -> None:
        super().__init__(msg)
        self.retry_after = retry_after


class TypeUnknownError(ExportError):
    """There is no report of this type."""

    code = "E_TYPE"
    fixed_by = "who asked"


class ParamsError(ExportError):
    """The parameters do not fit the report."""

    code = "E_PARAMS"
    fixed_by = "who asked"


class FormatUnknownError(ExportError):
    """There is no such file format."""

    code = "E_FORMAT"
    fixed_by = "who asked"


class ChannelError(ExportError):
    """Somebody asks to be told by a channel that does not exist or is not configured."""

    code = "E_CHANNEL"
    fixed_by = "who asked, or the operator: what the message says"


class FormatLimitError(ExportError):
    """The rows do not fit into the file format, such as a sheet's 1,048,576 rows."""

    code = "E_FORMAT_LIMIT"
    fixed_by = "who asked: another format"


class TooLargeError(ExportError):
    """The request, its parameters, the list of staged parts or the file exceeds its limit."""

    code = "E_TOO_LARGE"
    fixed_by = "who asked: less at a time"


class TooManyRowsError(ExportError):
    """The export has more rows than its report allows (`max_rows`)."""

    code = "E_ROWS"
    fixed_by = "who asked: what the message says"


class WebhookAddressError(ExportError):
    """The address of a webhook can't be used: its form, or where it leads; the message says why."""

    code = "E_WEBHOOK_ADDRESS"
    fixed_by = "who asked: another address"


class IdempotencyKeyError(ExportError):
    """The idempotency key has been used for another request."""

    code = "E_IDEMPOTENCY_KEY"
    fixed_by = "who asked: a new key"


class QuotaError(ExportError):
    """The person has as many exports, recurring exports or webhooks as they may have.

    Attributes:
        retry_at: When the limit is over (epoch milliseconds); None if that is when an export ends.
    """

    code = "E_QUOTA"
    fixed_by = "who asked: wait, or cancel or remove one"
    permanent = False

    def __init__(self, msg: str, *, retry_at: int | None = None) -> None:
        super().__init__(msg)
        self.retry_at = retry_at


class TaskNotFoundError(ExportError):
    """There is no such thing, such as an export or a webhook, or it is somebody else's."""

    code = "E_NOT_FOUND"
    fixed_by = "who asked"


class TaskStateError(ExportError):
    """The status of the task does not allow this."""

    code = "E_STATE"
    fixed_by = "who asked"


class FileExpiredError(ExportError):
    """The file has been removed."""

    code = "E_EXPIRED"
    fixed_by = "who asked: export again"


class PreviewMissingError(ExportError):
    """The export has no preview: a worker of an older release made it."""

    code = "E_PREVIEW"
    fixed_by = "who asked: the file itself, or export again"


class TaskInvalidError(ExportError):
    """A field of the stored document is not valid; the message says which."""

    code = "E_TASK"
    fixed_by = "who inserted the document"


class TaskLostError(ExportError):
    """The task was deleted, has ended, or belongs to another run; this run stops."""

    code = "E_TASK_LOST"
    fixed_by = "nobody"


class CollectionMissingError(ExportError):
    """The collection that the report reads does not exist."""

    code = "E_COLLECTION"
    fixed_by = "the reports file"


class PipelineError(ExportError):
    """The database refused the aggregation."""

    code = "E_PIPELINE"
    fixed_by = "the reports file, or the data"


class MismatchError(ExportError):
    """A value in a document does not have the type that the report declares."""

    code = "E_MISMATCH"
    fixed_by = "the reports file, or the data"


class SourceAccessError(ExportError):
    """The source database refused the credentials or the permission."""

    code = "E_SOURCE_ACCESS"
    fixed_by = "the operator"


class SnapshotError(ExportError):
    """The source database can't show all rows as they were at one moment; the message says why."""

    code = "E_SNAPSHOT"
    fixed_by = "the operator, or the reports file; then `exports retry ID`"


class SourceUnavailableError(ExportError):
    """The source database can't be reached, is too slow, or has an error that may pass."""

    code = "E_SOURCE"
    fixed_by = "the operator, if it lasts"
    permanent = False
    exit_code = 3


class DatabaseUnavailableError(ExportError):
    """The database of the tasks can't be reached, is too slow, or has an error that may pass."""

    code = "E_DATABASE"
    fixed_by = "the operator, if it lasts"
    permanent = False
    exit_code = 3


class DatabaseAccessError(ExportError):
    """The database of the tasks refused the credentials or the permission."""

    code = "E_DATABASE_ACCESS"
    fixed_by = "the operator"


class DatabaseRefusedError(ExportError):
    """The database of the tasks refused a command: a rule, an index or a setting forbids it."""

    code = "E_DATABASE_REFUSED"
    fixed_by = "the operator"


class ClockError(ExportError):
    """The clock of a machine is wrong; the message says by how much, and which machine."""

    code = "E_CLOCK"
    fixed_by = "the operator: NTP"
    permanent = False  # another worker may have a better one


class BucketMissingError(ExportError):
    """The bucket does not exist."""

    code = "E_BUCKET"
    fixed_by = "the operator"


class StoreAccessError(ExportError):
    """The object store refused the keys or the permission."""

    code = "E_STORE_ACCESS"
    fixed_by = "the operator"


class StoreRefusedError(ExportError):
    """The object store refused a request, or the bucket has another address."""

    code = "E_STORE_REFUSED"
    fixed_by = "the operator"


class StoreUnavailableError(ExportError):
    """The object store can't be reached, or answered with an error that may pass."""

    code = "E_STORE"
    fixed_by = "the operator, if it lasts"
    permanent = False
    exit_code = 3


class DownloadError(ExportError):
    """The file could not be fetched through its link, or not be written to the disk."""

    code = "E_DOWNLOAD"
    fixed_by = "who asked: `exports renew ID`"
    permanent = False


class StagingError(ExportError):
    """A staged part is missing or was changed."""

    code = "E_STAGING"
    fixed_by = "the operator: something removes objects under `staging/`"


class StepTimeoutError(ExportError):
    """An attempt at a step took longer than its time limit."""

    code = "E_STEP_TIMEOUT"
    fixed_by = "the operator"
    permanent = False


class WorkerLostError(ExportError):
    """Several workers in a row were lost during the same step."""

    code = "E_WORKER_LOST"
    fixed_by = "the operator"


class ReportChangedError(ExportError):
    """The report was changed during the export, and the workers have different definitions."""

    code = "E_REPORT_CHANGED"
    fixed_by = "the operator: all workers get the same reports file; then `exports retry ID`"


class StoreDiffersError(ExportError):
    """Workers or clients have different settings of the object store; the message says which."""

    code = "E_STORE_DIFFERS"
    fixed_by = "the operator: all workers and clients get the same values; then `exports retry ID`"
    permanent = False  # another worker may have the right store


class ReportsFileError(ExportError):
    """The reports file has a mistake."""

    code = "E_REPORTS"
    fixed_by = "the reports file"


class SettingsError(ExportError):
    """A setting is missing or wrong; the message says which."""

    code = "E_SETTINGS"
    fixed_by = "the operator"


class EncryptionKeyError(ExportError):
    """A payload in Temporal, or a stored secret, is encrypted with a key that is not set here."""

    code = "E_ENCRYPTION_KEY"
    fixed_by = "the operator"
    permanent = False


class PayloadError(ExportError):
    """A payload in Temporal can't be read: it was not written by a worker of this service."""

    code = "E_PAYLOAD"
    fixed_by = "who completed a step by hand; then `exports retry ID`"


class CodecAccessError(ExportError):
    """The codec server does not accept the token, or the origin of the page that asks."""

    code = "E_CODEC_ACCESS"
    fixed_by = "who asked"


class ScheduleMissingError(ExportError):
    """The Schedule has not been created: `exports schedule apply`."""

    code = "E_SCHEDULE"
    fixed_by = "the operator"


class UnreachableError(ExportError):
    """A server can't be reached; the message says which and where."""

    code = "E_UNREACHABLE"
    fixed_by = "the operator, if it lasts"
    permanent = False
    exit_code = 3


class VersionError(ExportError):
    """A server is older than this service needs; the message says which."""

    code = "E_VERSION"
    fixed_by = "the operator"


class TemporalRefusedError(ExportError):
    """Temporal refused a request: the API key, the permission, or its version."""

    code = "E_TEMPORAL"
    fixed_by = "the operator"


class UnexpectedError(ExportError):
    """An unexpected error inside this service; the message says its kind and place."""

    code = "E_INTERNAL"
    fixed_by = "the developers"
    permanent = False


class WaitTimeoutError(ExportError):
    """The export had not ended when the caller stopped waiting; it goes on."""

    code = "E_TIMEOUT"
    fixed_by = "who asked"
    permanent = False


def error_of(code: str, msg: str) -> ExportError:
    """Return the error of a code, such as the type of a workflow's failure.

    Args:
        code: The code; `UnexpectedError` stands for one that does not exist.
        msg: The message.
    """
    kinds = (kind for kind in ExportError.__subclasses__() if kind.code == code)
    return next(kinds, UnexpectedError)(msg)


def refused(error: ExportError) -> dict[str, JsonValue]:
    """Return the answer that clients get: `{"ok": false, "error": {"code", "msg"}}`."""
    return {"ok": False, "error": {"code": error.code, "msg": error.msg}}


def explain(error: ValidationError) -> str:
    """Return what pydantic found wrong, in one line, without the values that were given.

    Args:
        error: What `model_validate` raised.

    Returns:
        For example ``month: Input should be less than or equal to 12; day: is not known here``.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return in_one_line(problems(found))


def problems(found: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return what is wrong with each field, without the values that were given.

    It has the first five problems, and shortens long names of unknown fields.

    Args:
        found: The errors that pydantic lists.
    """
    return {
        _path(item["loc"]): _reason(item["type"], item["msg"])
        for item in islice(found, _MAX_PROBLEMS)
    }


def in_one_line(fields: Mapping[str, str]) -> str:
    """Return `problems` as a text, without a full stop."""
    return "; ".join(f"{name}: {reason}" for name, reason in fields.items())


def _path(parts: Sequence[int | str]) -> str:
    shown = [_shown(part) for part in parts[:_MAX_PATH_PARTS]]
    return ".".join([*shown, "..."] if len(parts) > _MAX_PATH_PARTS else shown) or "input"


def _shown(part: int | str) -> str:
    # The client chose the name of an unknown field. It may be long, or mislead.
    text = "".join("?" if can_mislead(character) else character for character in str(part))
    return text if len(text) <= _MAX_NAME_CHARACTERS else f"{text[:_MAX_NAME_CHARACTERS]}..."


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not known here"
    return without_prefix(message)


def without_prefix(message: str) -> str:
    """Return a message without what pydantic puts before the text of a `ValueError`."""
    return message.replace("Value error, ", "")
