"""Whose our own errors are to mend. What each says stands where it is raised."""

from dataclasses import dataclass
from typing import Final

from exports import errors
from exports.errors import ExportError
from exports.server_errors.verdict import Fault


@dataclass(frozen=True)
class OurRow:
    """Whose an error of ours is, if no row of a server says otherwise."""

    error: type[ExportError]
    fault: Fault


OURS: Final = (
    OurRow(errors.ActionError, Fault.WHO_ASKED),
    OurRow(errors.RequestError, Fault.WHO_ASKED),
    OurRow(errors.TypeUnknownError, Fault.WHO_ASKED),
    OurRow(errors.ParamsError, Fault.WHO_ASKED),
    OurRow(errors.FormatUnknownError, Fault.WHO_ASKED),
    OurRow(errors.FormatLimitError, Fault.WHO_ASKED),
    OurRow(errors.TooLargeError, Fault.US),
    OurRow(errors.IdempotencyKeyError, Fault.WHO_ASKED),
    OurRow(errors.TaskNotFoundError, Fault.WHO_ASKED),
    OurRow(errors.TaskStateError, Fault.WHO_ASKED),
    OurRow(errors.FileExpiredError, Fault.WHO_ASKED),
    OurRow(errors.WaitTimeoutError, Fault.WHO_ASKED),
    OurRow(errors.TaskInvalidError, Fault.WHO_ASKED),
    OurRow(errors.TaskLostError, Fault.WHO_ASKED),
    OurRow(errors.CollectionMissingError, Fault.OPERATOR),
    OurRow(errors.PipelineError, Fault.OPERATOR),
    OurRow(errors.MismatchError, Fault.OPERATOR),
    OurRow(errors.SourceAccessError, Fault.OPERATOR),
    OurRow(errors.SourceUnavailableError, Fault.SERVER),
    OurRow(errors.DatabaseUnavailableError, Fault.SERVER),
    OurRow(errors.DatabaseAccessError, Fault.OPERATOR),
    OurRow(errors.DatabaseRefusedError, Fault.OPERATOR),
    OurRow(errors.BucketMissingError, Fault.OPERATOR),
    OurRow(errors.StoreAccessError, Fault.OPERATOR),
    OurRow(errors.StoreRefusedError, Fault.OPERATOR),
    OurRow(errors.StoreUnavailableError, Fault.SERVER),
    OurRow(errors.ClockError, Fault.OPERATOR),
    OurRow(errors.DownloadError, Fault.WHO_ASKED),
    OurRow(errors.StagingError, Fault.OPERATOR),
    OurRow(errors.StepTimeoutError, Fault.OPERATOR),
    OurRow(errors.WorkerLostError, Fault.OPERATOR),
    OurRow(errors.ReportChangedError, Fault.OPERATOR),
    OurRow(errors.ReportsFileError, Fault.OPERATOR),
    OurRow(errors.SettingsError, Fault.OPERATOR),
    OurRow(errors.EncryptionKeyError, Fault.OPERATOR),
    OurRow(errors.CodecAccessError, Fault.WHO_ASKED),
    OurRow(errors.ScheduleMissingError, Fault.OPERATOR),
    OurRow(errors.UnreachableError, Fault.OPERATOR),
    OurRow(errors.TemporalRefusedError, Fault.OPERATOR),
    OurRow(errors.UnexpectedError, Fault.US),
)
