"""The data converter of clients and workers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
)
from temporalio.exceptions import ApplicationError

from exports.encryption.codec import EncryptionCodec
from exports.encryption.keys import EncryptionKeys
from exports.errors import RequestError, explain
from exports.models import ExportRequest

_NO_KEYS: Final = EncryptionKeys()


class _PayloadConverter(PydanticPayloadConverter):
    """Pydantic's converter, with which an input that is not a request fails its workflow at once.

    By default an input that can't be decoded fails the workflow *task*, which the server retries
    for ever. An `ApplicationError` fails the run instead.
    """

    def from_payloads(
        self,
        payloads: Sequence[Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        if type_hints != [ExportRequest]:
            return super().from_payloads(payloads, type_hints)
        try:
            values = super().from_payloads(payloads, type_hints)
        except ValidationError as error:
            raise _invalid(f"The input is not a request: {explain(error)}.") from None
        except Exception:  # noqa: BLE001 -- anybody can send a payload, so decoding may raise anything
            raise _invalid("The input can't be decoded; it must be one JSON object.") from None
        if len(values) != 1 or not isinstance(values[0], ExportRequest):
            raise _invalid("The input must be one JSON object with type, params and createdBy.")
        return values


def _invalid(msg: str) -> ApplicationError:
    return ApplicationError(msg, type=RequestError.code, non_retryable=True)


def data_converter(keys: EncryptionKeys = _NO_KEYS) -> DataConverter:
    """Return the converter for pydantic models, the same for clients and workers.

    Args:
        keys: The keys that encrypt payloads, messages of failures and stack traces; without a key
            they are not encrypted.
    """
    return replace(
        pydantic_data_converter,
        payload_converter_class=_PayloadConverter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=(
            DefaultFailureConverterWithEncodedAttributes if keys.first else DefaultFailureConverter
        ),
    )
