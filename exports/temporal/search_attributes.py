"""Registers the search attributes: a workflow can use only those that exist."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from exports.errors import SettingsError
from exports.names import SEARCH_ATTRIBUTES
from exports.server_errors.temporal import temporal_error


async def ensure_search_attributes(temporal: Client) -> None:
    """Register the search attributes that exports use; do nothing if they exist.

    Raises:
        SettingsError: One is missing and this client may not register it; the message says how.
            Or the namespace does not exist.
        UnreachableError: Temporal could not be reached.
    """
    namespace = temporal.namespace
    try:
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
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return
        if error.status == RPCStatusCode.NOT_FOUND:
            raise SettingsError(f"Temporal has no namespace {namespace!r}.") from None
        known = temporal_error(error.status)
        if not known.permanent:
            raise known from None
        raise SettingsError(
            f"Search attributes are missing in the namespace {namespace!r}, or can't be listed "
            f"({error.status.name}). Register {', '.join(SEARCH_ATTRIBUTES)} as Keyword: "
            "temporal operator search-attribute create --type Keyword --name …"
        ) from None
