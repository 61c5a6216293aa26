"""The version of the Temporal server."""

import re
from datetime import timedelta
from typing import Final

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError

from exports.errors import VersionError
from exports.server_errors.temporal import temporal_error

OLDEST_TEMPORAL: Final = (1, 25)
_ANSWER_WITHIN: Final = timedelta(seconds=5)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")


async def check_temporal_version(temporal: Client) -> str:
    """Return the version of the server; that of Temporal Cloud may have other numbers at its end.

    A version that does not begin with two numbers is not checked.

    Raises:
        VersionError: The server is too old.
        UnreachableError: It did not answer within 5 seconds.
        TemporalRefusedError: It refused to say.
    """
    try:
        found = await temporal.workflow_service.get_system_info(
            GetSystemInfoRequest(), timeout=_ANSWER_WITHIN
        )
    except RPCError as error:
        raise temporal_error(error.status) from None
    version = _VERSION.match(found.server_version)
    if version is not None and (int(version[1]), int(version[2])) < OLDEST_TEMPORAL:
        oldest = ".".join(map(str, OLDEST_TEMPORAL))
        raise VersionError(
            f"The Temporal server is too old ({version[0]}): {oldest} or newer is needed."
        )
    return found.server_version
