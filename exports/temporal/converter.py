"""The data converter that clients and workers share."""

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
    """Pydantic's converter, but rubbish in place of a request fails its workflow at once.

    By default an input that can't be decoded fails the workflow *task*, which the server retries
    for ever. A failure error, on the other hand, passes through the SDK and closes the run.
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
            raise _rubbish(f"The input is not a request: {explain(error)}.") from None
        except Exception:  # noqa: BLE001 -- the payload is foreign; whatever decoding raises says so
            raise _rubbish("The input can't be decoded; it is one JSON object.") from None
        if len(values) != 1 or not isinstance(values[0], ExportRequest):
            raise _rubbish("The input is one JSON object with type, params and createdBy.")
        return values


def _rubbish(msg: str) -> ApplicationError:
    return ApplicationError(msg, type=RequestError.code, non_retryable=True)


def data_converter(keys: EncryptionKeys = _NO_KEYS) -> DataConverter:
    """Return the converter for pydantic models, the same on both sides.

    Args:
        keys: What payloads, messages of failures and stack traces are encrypted with; none, and
            they are not.
    """
    return replace(
        pydantic_data_converter,
        payload_converter_class=_PayloadConverter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=(
            DefaultFailureConverterWithEncodedAttributes if keys.first else DefaultFailureConverter
        ),
    )
