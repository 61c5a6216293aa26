"""Records the requests of object stores, and injects faults into them."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError

from exports.settings import Settings
from exports.storage import bucket, s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Traffic:
    """The requests of the object stores of a test.

    Attributes:
        sent: Operation and headers of each request, in the order of sending.
        hosts: The host that each request was sent to.
        events: Requests and answers in their order: `("send", "UploadPart 1")`.
        bodies: Bodies of the parts, by number.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.hosts: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.bodies: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._before: dict[str, Callable[[], object]] = {}
        self._params: dict[str, dict[str, object]] = {}
        self._bodies: dict[str, Callable[[bytes], bytes]] = {}
        self._answers: dict[str, dict[str, object]] = {}

    @classmethod
    def of_new_stores(cls, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Record every store that is made from now on."""
        traffic = cls()
        connect = s3.s3_client

        def watched(settings: Settings, endpoint: str | None) -> "S3Client":
            return traffic._watch(connect(settings, endpoint))

        monkeypatch.setattr(bucket, "s3_client", watched)
        return traffic

    def before(self, operation: str, do: Callable[[], object]) -> None:
        """Call `do` before each request of an operation is sent; an error it raises is a fault."""
        self._before[operation] = do

    def cut(self, operation: str, *, times: int = 1_000_000) -> None:
        """Lose the connection in the next requests of an operation."""
        left = iter(range(times))

        def lose() -> None:
            if next(left, None) is not None:
                raise ConnectionClosedError(endpoint_url="http://store")

        self.before(operation, lose)

    def with_parameters(self, operation: str, **parameters: object) -> None:
        """Add parameters to the calls of an operation."""
        self._params[operation] = parameters

    def with_another_body(self, operation: str, change: Callable[[bytes], bytes]) -> None:
        """Fault: the store receives other bytes than were sent, and reports success."""
        self._bodies[operation] = change

    def with_another_answer(self, operation: str, **fields: object) -> None:
        """Fault: replace fields in the answers to an operation."""
        self._answers[operation] = fields

    def operations(self) -> list[str]:
        """Return the operations in the order of sending, without part numbers."""
        return [operation.partition(" ")[0] for operation, _ in self.sent]

    def part_numbers(self) -> list[int]:
        """Return the numbers of the parts that were sent, sorted."""
        return sorted(self.bodies)

    def _watch(self, client: "S3Client") -> "S3Client":
        events = client.meta.events
        events.register("provide-client-params.s3.*", self._provide)
        events.register("before-send.s3.*", self._send)
        events.register("after-call.s3.*", self._answered)
        return client

    def _provide(
        self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any
    ) -> Any:
        name = model.name
        if name == "UploadPart":
            name = f"{name} {params['PartNumber']}"
            self.bodies[params["PartNumber"]] = params["Body"]
        context["recorded_operation"] = name
        if model.name in self._bodies:
            params = params | {"Body": self._bodies[model.name](params["Body"])}
        return params | self._params.get(model.name, {})

    def _send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        with self._lock:
            self.sent.append((operation, {k.lower(): _text(v) for k, v in request.headers.items()}))
            self.hosts.append(urlsplit(request.url).hostname or "")
            self.events.append(("send", operation))
        self._before.get(operation, lambda: None)()

    def _answered(
        self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any
    ) -> None:
        parsed.update(self._answers.get(model.name, {}))
        with self._lock:
            self.events.append(("answer", context["recorded_operation"]))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
