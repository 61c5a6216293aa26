"""The search attributes of exports: what a namespace does not know, exports run without."""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from exports.errors import SettingsError
from exports.names import SEARCH_ATTRIBUTES

_ANSWER_WITHIN: Final = timedelta(seconds=5)
_ASK_AGAIN_AFTER: Final = 60.0  # seconds
_ANY: Final = " AND ".join(f"{name} = 'any'" for name in SEARCH_ATTRIBUTES)

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


async def knows_search_attributes(temporal: Client) -> bool:
    """Return whether the namespace has all search attributes of exports.

    Temporal Cloud has no API by which a worker could list them. A query that names one that does
    not exist is refused by every server.

    Raises:
        RPCError: Temporal did not answer within 5 seconds, or refused the question.
    """
    try:
        await temporal.count_workflows(_ANY, rpc_timeout=_ANSWER_WITHIN)
    except RPCError as error:
        if error.status != RPCStatusCode.INVALID_ARGUMENT:
            raise
        return False
    return True


async def ensure_search_attributes(temporal: Client) -> None:
    """Register the search attributes that are missing; if that is not possible, log how to do it.

    Raises:
        SettingsError: The namespace does not exist.
    """
    namespace = temporal.namespace
    try:
        if await _is_known(temporal):
            return
        await _add_missing(temporal)
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return
        if error.status == RPCStatusCode.NOT_FOUND:
            raise SettingsError(f"Temporal has no namespace {namespace!r}.") from None
        _log.warning(
            "The namespace %s may lack search attributes, and this worker could not add them (%s). "
            "While one is missing, exports run without any, and the Web UI can't filter by them. "
            "%s",
            namespace,
            error.status.name,
            how_to_add(namespace),
        )


def how_to_add(namespace: str) -> str:
    """Return the commands that add the search attributes, for an own cluster and for Cloud."""
    own = " ".join(f"--name {name} --type Keyword" for name in SEARCH_ATTRIBUTES)
    cloud = " ".join(f"--search-attribute {name}=Keyword" for name in SEARCH_ATTRIBUTES)
    return (
        "Own cluster: temporal operator search-attribute create "
        f"--namespace {namespace} {own}. "
        f"Temporal Cloud: tcld namespace search-attributes add --namespace {namespace} {cloud}, "
        "or the page of the namespace in the Cloud UI."
    )


async def with_known_attributes(
    start: Callable[[TypedSearchAttributes], Awaitable[_T]], attributes: TypedSearchAttributes
) -> _T:
    """Start something with search attributes, or without if Temporal refuses them.

    Args:
        start: Starts it; called again without attributes if they may be why it is refused.
        attributes: The search attributes.

    Raises:
        RPCError: Temporal refuses it in both cases, or did not answer.
    """
    try:
        return await start(attributes)
    except RPCError as error:
        if error.status != RPCStatusCode.INVALID_ARGUMENT:
            raise
    return await start(TypedSearchAttributes.empty)


class KnownSearchAttributes:
    """Whether the namespace has the search attributes; Temporal is asked once a minute at most.

    Args:
        temporal: The client.
    """

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal
        self._asked_at = -_ASK_AGAIN_AFTER
        self._answer = False

    async def all_there(self) -> bool:
        """Return whether it has all of them; False if Temporal does not say."""
        if time.monotonic() - self._asked_at >= _ASK_AGAIN_AFTER:
            try:
                self._answer = await knows_search_attributes(self._temporal)
            except RPCError:
                self._answer = False
            self._asked_at = time.monotonic()
        return self._answer


async def _is_known(temporal: Client) -> bool:
    try:
        return await knows_search_attributes(temporal)
    except RPCError as error:
        # Whoever may not query, or can't at the moment, may still be able to add them.
        if error.status == RPCStatusCode.NOT_FOUND:
            raise
        return False


async def _add_missing(temporal: Client) -> None:
    namespace = temporal.namespace
    listed = await temporal.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=namespace)
    )
    missing = [name for name in SEARCH_ATTRIBUTES if name not in listed.custom_attributes]
    if missing:
        await temporal.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=namespace,
                search_attributes=dict.fromkeys(
                    missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                ),
            )
        )
