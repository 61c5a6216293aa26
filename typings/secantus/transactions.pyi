from collections.abc import Callable
from typing import Any

class TransactionRegistry:
    def __init__(self, *, time_func: Callable[[], float]) -> None: ...
    def record_retryable(
        self, lsid_bytes: bytes, txn_number: int, identity: bytes, reply: dict[str, Any]
    ) -> None: ...
    def retryable_reply(
        self, lsid_bytes: bytes, txn_number: int, identity: bytes
    ) -> dict[str, Any] | None: ...
