"""Translates errors of Temporal, by their gRPC status.

Callers look first at a status that is an answer to them, such as NOT_FOUND of a workflow.
"""

from typing import Final

from temporalio.service import RPCStatusCode

from exports import errors
from exports.server_errors.translation import Translation

_ACCESS: Final = Translation(
    errors.TemporalRefusedError,
    "{where} refused access ({what}): check the API key, the certificate and the permission.",
)
_NOT_SUPPORTED: Final = Translation(
    errors.TemporalRefusedError,
    "{where} does not support the request ({what}): it is too old, or not set up for it.",
)
_INVALID: Final = Translation(
    errors.TemporalRefusedError, "{where} rejected a request as invalid ({what})."
)

TEMPORAL: Final = {
    RPCStatusCode.INVALID_ARGUMENT: _INVALID,
    RPCStatusCode.ALREADY_EXISTS: _INVALID,
    RPCStatusCode.OUT_OF_RANGE: _INVALID,
    RPCStatusCode.NOT_FOUND: Translation(
        errors.UnreachableError,
        "{where} does not know the namespace, or what was asked for ({what}).",
    ),
    RPCStatusCode.UNAUTHENTICATED: _ACCESS,
    RPCStatusCode.PERMISSION_DENIED: _ACCESS,
    RPCStatusCode.UNIMPLEMENTED: _NOT_SUPPORTED,
    RPCStatusCode.FAILED_PRECONDITION: _NOT_SUPPORTED,
}

OTHER_STATUSES: Final = Translation(
    errors.UnreachableError,
    "{where} did not answer, or answered with an error ({what}).",
    away="temporal",
)
"""Every other status."""


def temporal_error(status: RPCStatusCode, where: str = "Temporal") -> errors.ExportError:
    """Translate an answer of Temporal.

    Args:
        status: The status of the answer.
        where: Which server, for people: `Temporal at localhost:7233`.
    """
    return TEMPORAL.get(status, OTHER_STATUSES).to_error(what=status.name, where=where)
