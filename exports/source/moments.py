"""Moments of the source database, which one worker tells another in a payload.

A moment is what MongoDB's sessions are told, to read what another session has seen: the operation
time, and the newest cluster time with the server's signature. A server without access control does
not sign. One with it refuses a cluster time that was changed, and keeps its keys over restarts.
"""

from typing import Any, Final, NamedTuple, cast

from bson import Timestamp, json_util
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

_OPERATION_TIME: Final = "operationTime"
_CLUSTER_TIME: Final = "clusterTime"


class AtClusterTime(ReadConcern):
    """The read concern `snapshot` at a time of one's own choice.

    The driver's own snapshot sessions only take the time of their first read.

    Args:
        time: The cluster time.
    """

    def __init__(self, time: Timestamp) -> None:
        super().__init__("snapshot")
        self._time = time

    @property
    def document(self) -> dict[str, Any]:
        """What is sent to the server."""
        return {**super().document, "atClusterTime": self._time}


class Reads(NamedTuple):
    """How a source reads.

    Attributes:
        session: In which session; None: each read in one of its own.
        read_concern: With which read concern.
        moment: The moment of a snapshot.
    """

    session: AsyncClientSession | None = None
    read_concern: ReadConcern = ReadConcern("majority")
    moment: str | None = None


def moment_of(session: AsyncClientSession) -> str | None:
    """Return the moment that a session has seen, as text.

    Returns:
        None if the server has no cluster time, because it is not a member of a replica set.
    """
    # Some servers that speak MongoDB's protocol tell the one time without the other.
    if session.operation_time is None or session.cluster_time is None:
        return None
    times = {_OPERATION_TIME: session.operation_time, _CLUSTER_TIME: session.cluster_time}
    return json_util.dumps(times, json_options=json_util.CANONICAL_JSON_OPTIONS)


def advance(session: AsyncClientSession, moment: str) -> Timestamp:
    """Let a session know of a moment, and return its operation time."""
    times = json_util.loads(moment, json_options=json_util.CANONICAL_JSON_OPTIONS)
    session.advance_cluster_time(times[_CLUSTER_TIME])
    session.advance_operation_time(times[_OPERATION_TIME])
    return cast("Timestamp", times[_OPERATION_TIME])
