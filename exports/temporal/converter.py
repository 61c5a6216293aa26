"""The data converter of clients and workers."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError

from exports.encryption.codec import EncryptionCodec
from exports.encryption.keys import EncryptionKeys
from exports.errors import ExportError, PayloadError, RequestError, explain
from exports.models import ExportRequest

_NO_KEYS: Final = EncryptionKeys()


class _PayloadConverter(PydanticPayloadConverter):
    """Pydantic's converter, with which rubbish fails a run and never its workflow task.

    Anybody with access to Temporal can send anything to a workflow. If decoding raises, the SDK
    fails the workflow *task*, which the server retries for ever; an `ApplicationError` fails the
    run instead. What no type is expected of is passed on as it came, as a `RawValue`: nobody relies
    on it, so that it is no reason to fail.
    """

    def from_payloads(
        self,
        payloads: Sequence[Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        """See base class.

        Raises:
            ApplicationError: A payload is not of the model that is expected.
        """
        return [
            self._value(payload, hint)
            for payload, hint in zip(payloads, type_hints or repeat(None), strict=False)
        ]

    def _value(self, payload: Payload, hint: type | None) -> Any:  # noqa: ANN401 -- as above
        try:
            [value] = super().from_payloads([payload], [hint] if hint else None)
        except Exception as error:  # noqa: BLE001 -- anybody can send a payload, so decoding may raise anything
            if hint is None:
                return RawValue(payload)
            why = explain(error) if isinstance(error, ValidationError) else "it can't be decoded"
        else:
            # An encoding other than JSON is decoded without a look at the type.
            if not (isinstance(hint, type) and issubclass(hint, BaseModel)):
                return value
            if isinstance(value, hint):
                return value
            why = "it is not a JSON object"
        if hint is ExportRequest:
            raise _refused(RequestError(f"The input is not a request: {why}."))
        raise _refused(PayloadError(f"A payload can't be read as {hint.__name__}: {why}."))


class _FailureConverter(DefaultFailureConverter):
    """The SDK's converter, with which a failure that it can't read fails a run as well.

    An activity that is failed by hand may have a category of failure that the SDK does not know.
    """

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """See base class."""
        try:
            return super().from_failure(failure, payload_converter)
        except Exception:  # noqa: BLE001 -- as above
            return _refused(PayloadError("A failure can't be read."))


class _EncodedFailureConverter(_FailureConverter):
    """Encodes messages and stack traces too, so that the codec encrypts them."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)


def _refused(error: ExportError) -> ApplicationError:
    return ApplicationError(error.msg, type=error.code, non_retryable=True)


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
        failure_converter_class=_EncodedFailureConverter if keys.first else _FailureConverter,
    )
