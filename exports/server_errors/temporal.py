"""What the errors of Temporal come to, by their gRPC status.

Where a status is an answer (a workflow that is not there, a Schedule that is), whoever asked
looks at it first.
"""

from dataclasses import dataclass
from typing import Final

from temporalio.service import RPCStatusCode

from exports import errors
from exports.server_errors.verdict import Fault, Verdict

_AWAY: Final = Verdict(
    errors.UnreachableError, Fault.SERVER, "{where} did not do its part ({what})."
)
_ACCESS: Final = Verdict(
    errors.TemporalRefusedError,
    Fault.OPERATOR,
    "{where} does not let us do that ({what}): the API key, the certificate or the permission.",
)
_NOT_THERE: Final = Verdict(
    errors.UnreachableError,
    Fault.OPERATOR,
    "{where} does not know the namespace, or what was asked about ({what}).",
)
_NOT_ABLE: Final = Verdict(
    errors.TemporalRefusedError,
    Fault.OPERATOR,
    "{where} can't do that: it is too old, or not set up for it ({what}).",
)
_ASKED_WRONGLY: Final = Verdict(
    errors.TemporalRefusedError, Fault.US, "{where} does not understand a request of ours ({what})."
)


@dataclass(frozen=True)
class TemporalRow:
    """What a gRPC status comes to."""

    status: RPCStatusCode
    verdict: Verdict


TEMPORAL: Final = (
    TemporalRow(RPCStatusCode.CANCELLED, _AWAY),
    TemporalRow(RPCStatusCode.UNKNOWN, _AWAY),
    TemporalRow(RPCStatusCode.INVALID_ARGUMENT, _ASKED_WRONGLY),
    TemporalRow(RPCStatusCode.DEADLINE_EXCEEDED, _AWAY),
    TemporalRow(RPCStatusCode.NOT_FOUND, _NOT_THERE),
    TemporalRow(RPCStatusCode.ALREADY_EXISTS, _ASKED_WRONGLY),
    TemporalRow(RPCStatusCode.PERMISSION_DENIED, _ACCESS),
    TemporalRow(RPCStatusCode.RESOURCE_EXHAUSTED, _AWAY),
    TemporalRow(RPCStatusCode.FAILED_PRECONDITION, _NOT_ABLE),
    TemporalRow(RPCStatusCode.ABORTED, _AWAY),
    TemporalRow(RPCStatusCode.OUT_OF_RANGE, _ASKED_WRONGLY),
    TemporalRow(RPCStatusCode.UNIMPLEMENTED, _NOT_ABLE),
    TemporalRow(RPCStatusCode.INTERNAL, _AWAY),
    TemporalRow(RPCStatusCode.UNAVAILABLE, _AWAY),
    TemporalRow(RPCStatusCode.DATA_LOSS, _AWAY),
    TemporalRow(RPCStatusCode.UNAUTHENTICATED, _ACCESS),
)

_BY_STATUS: Final = {row.status: row.verdict for row in TEMPORAL}


def temporal_error(status: RPCStatusCode, where: str = "Temporal") -> errors.ExportError:
    """Return what an answer of Temporal comes to.

    Args:
        status: The status of the answer.
        where: Which server, for people: `Temporal at localhost:7233`.
    """
    return _BY_STATUS.get(status, _AWAY).about(what=status.name, where=where)
