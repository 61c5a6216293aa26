"""Answers requests in the format of the function that this service replaces.

Its gateway can send them on unchanged:

    {"action": "create", "payload": {"type": "statsMonthly", "params": {...}}, "uid": "u1"}

The answer is `{"ok": true, "data": ...}` or `{"ok": false, "error": {"code", "msg"}}`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from temporalio.service import RPCError

from exports import names
from exports.client import ExportClient
from exports.errors import ActionError, ExportError, RequestError, explain, refused
from exports.models import DEFAULT_FORMAT
from exports.server_errors.temporal import temporal_error
from exports.tasks.task import ExportTask

_log = logging.getLogger(__name__)


class _Part(BaseModel):
    # Strict: a number in place of a text is a mistake of the gateway.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


_Uid = Annotated[str, Field(min_length=1)]


class _Asked(_Part):
    """An envelope from a person; other fields that a gateway adds are ignored."""

    model_config = ConfigDict(extra="ignore")

    uid: _Uid
    payload: dict[str, object]


class _AskedByTimer(_Part):
    """An envelope from the old function's timer, which acts for no person."""

    model_config = ConfigDict(extra="ignore")

    uid: _Uid | None = None
    payload: dict[str, object] = Field(default_factory=dict)


class _Create(_Part):
    type: str
    params: dict[str, object] = Field(default_factory=dict)
    format: str = DEFAULT_FORMAT
    idempotency_key: str | None = None
    notify: list[str] | None = None


class _TaskIn(_Part):
    """Names a task by one of the three fields that clients of the old function use."""

    id: str | None = None
    stored_id: str | None = Field(default=None, alias="_id")
    task_id: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len([name for name in (self.id, self.stored_id, self.task_id) if name]) != 1:
            raise ValueError("must name the task in exactly one of id, _id and taskId")
        return self

    @property
    def named(self) -> str:
        """The task's id."""
        return self.id or self.stored_id or self.task_id or ""


class _Get(_TaskIn):
    pass


class _Cancel(_TaskIn):
    reason: str = ""


class _Run(_Part):
    pass


_Model = TypeVar("_Model", bound=_Part)


async def handle(client: ExportClient, request: Mapping[str, object]) -> dict[str, JsonValue]:
    """Answer one envelope. Every error becomes an answer; nothing is raised.

    Args:
        client: Does the work.
        request: `action` is `create`, `get`, `cancel` or `run`, which sweeps. `uid` is the person
            who asks; `run` does not need it. `payload` is `{type, params, format?,
            idempotencyKey?, notify?}` for `create`; `{id}` (or `_id`, or `taskId`) for `get`; the
            same and `reason?` for `cancel`; empty for `run`.

    Returns:
        An object for `json.dumps`. The data of `run` is `{started, healed, purged, handled}`; of
        the others it is the task, with its id also as `_id`. The codes of errors are those of
        `exports.errors`: `E_REQUEST` if the envelope is not valid, `E_ACTION` for an unknown
        action, `E_NOT_FOUND` for somebody else's task.
    """
    try:
        return {"ok": True, "data": await answer(client, request)}
    except ExportError as error:
        return refused(error)
    except RPCError as error:
        return refused(temporal_error(error.status))
    except Exception as error:  # noqa: BLE001 -- a gateway needs an answer to every request
        # Without the message and the traceback, which may contain values of the request.
        _log.error("An envelope could not be answered: %s", type(error).__name__)
        return refused(ExportError("Something went wrong inside the service."))


async def answer(client: ExportClient, request: Mapping[str, object]) -> dict[str, JsonValue]:
    """Return the data of the answer to one envelope; `handle` says what may be in it.

    Raises:
        ExportError: The envelope is not valid, or what `client` raises.
    """
    # Callers pass on what they received, so it may not be of the annotated type.
    if not isinstance(cast("object", request), Mapping):
        raise RequestError("The request must be one JSON object with action, payload and uid.")
    action = request.get("action")
    act = _ACTIONS.get(action) if isinstance(action, str) else None
    if act is None:
        raise ActionError(f"There is no such action; use one of: {', '.join(_ACTIONS)}.")
    return await act(client.with_origin(names.FROM_ENVELOPE), request)


async def _create(client: ExportClient, request: Mapping[str, object]) -> dict[str, JsonValue]:
    asked = _read(_Asked, request, "The request")
    new = _read(_Create, asked.payload, "The payload")
    task = await client.create(
        new.type,
        new.params,
        created_by=asked.uid,
        format=new.format,
        idempotency_key=new.idempotency_key,
        notify=new.notify,
    )
    return _with_stored_id(task)


async def _get(client: ExportClient, request: Mapping[str, object]) -> dict[str, JsonValue]:
    asked = _read(_Asked, request, "The request")
    ref = _read(_Get, asked.payload, "The payload")
    return _with_stored_id(await client.get(ref.named, created_by=asked.uid))


async def _cancel(client: ExportClient, request: Mapping[str, object]) -> dict[str, JsonValue]:
    asked = _read(_Asked, request, "The request")
    ref = _read(_Cancel, asked.payload, "The payload")
    return _with_stored_id(await client.cancel(ref.named, created_by=asked.uid, reason=ref.reason))


async def _run(client: ExportClient, request: Mapping[str, object]) -> dict[str, JsonValue]:
    asked = _read(_AskedByTimer, request, "The request")
    _read(_Run, asked.payload, "The payload")
    return (await client.sweep()).model_dump(mode="json")


_Answer = Callable[[ExportClient, Mapping[str, object]], Awaitable[dict[str, JsonValue]]]
_ACTIONS: Final[dict[str, _Answer]] = {
    "create": _create,
    "run": _run,
    "get": _get,
    "cancel": _cancel,
}


def _read(model: type[_Model], content: Mapping[str, object], name: str) -> _Model:
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        raise RequestError(f"{name} is not valid: {explain(error)}.") from None


def _with_stored_id(task: ExportTask) -> dict[str, JsonValue]:
    return {"_id": task.id, **task.model_dump(mode="json", by_alias=True)}
