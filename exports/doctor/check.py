"""A check of the doctor: how it is asked, in which time, and what becomes of an error."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from temporalio.service import RPCError

from exports.clock import as_seconds, check_clock, epoch_ms, now_ms
from exports.errors import ExportError
from exports.models import WireModel
from exports.server_errors.mongo import MONGO_ERRORS, tasks_error
from exports.server_errors.temporal import temporal_error

_T = TypeVar("_T")

Outcome = Literal["ok", "warning", "failed"]

ANSWER_WITHIN: Final = 15.0
"""Seconds for one check. A server has 7 s for its first answer, a write 8 s for the majority."""
_MENDED_WITHIN: Final = 600.0
"""Seconds to mend something: MongoDB reads a whole collection for an index."""


class Check(WireModel):
    """What was found about one thing.

    Attributes:
        name: What was looked at.
        outcome: `warning`: exports work, but something is slow, missing or not known.
        what: What was found, in a sentence. It has no secret and no value of a row.
        mend: The command, or the step, that would mend it; None if nothing has to be mended.
    """

    name: str
    outcome: Outcome
    what: str
    mend: str | None = None


def ok(name: str, what: str) -> Check:
    """Return that all is well."""
    return Check(name=name, outcome="ok", what=what)


def warning(name: str, what: str, mend: str | None = None) -> Check:
    """Return that exports work, and what is not as it should be."""
    return Check(name=name, outcome="warning", what=what, mend=mend)


def failed(name: str, what: str, mend: str | None = None) -> Check:
    """Return that exports do not work, or not all."""
    return Check(name=name, outcome="failed", what=what, mend=mend)


def same_clock(there: datetime, *, whose: str) -> Check:
    """Compare the clock of this machine with a server's; see `check_clock`."""
    check_clock(there, whose=whose)
    seconds = as_seconds(abs(now_ms() - epoch_ms(there)))
    return ok("clock", f"It differs from {whose} by {seconds:.1f} s.")


@dataclass(frozen=True)
class Question:
    """Something that is looked at, by itself.

    Attributes:
        name: The name of its check, if it can't be asked.
        ask: Looks. It may raise what the libraries of the servers raise.
        mend: What would mend it, if it raises.
        fix: Creates what is missing; safe to do twice. None if a person has to do it.
        within: Seconds that it may take.
    """

    name: str
    ask: Callable[[], Coroutine[Any, Any, list[Check]]]
    mend: str | None = None
    fix: Callable[[], Coroutine[Any, Any, None]] | None = None
    within: float = ANSWER_WITHIN


@dataclass(frozen=True)
class Server:
    """The questions about one server.

    Attributes:
        name: Its name in the output.
        reach: Asked first. If it fails, nothing else is asked.
        questions: Returns the others, after that.
    """

    name: str
    reach: Question
    questions: Callable[[], Sequence[Question]]


async def examine(server: Server, *, fix: bool) -> list[Check]:
    """Ask everything about a server: first whether it is there, then the rest side by side.

    Args:
        server: The server.
        fix: Whether what can be created safely is created.
    """
    reached = await _answered(server.reach, fix=fix)
    if any(check.outcome == "failed" for check in reached):
        return [*reached, *(failed(item.name, "not reached") for item in server.questions())]
    answers = await asyncio.gather(*(_answered(item, fix=fix) for item in server.questions()))
    return [*reached, *(check for answer in answers for check in answer)]


async def _answered(question: Question, *, fix: bool) -> list[Check]:
    found = await _asked(question)
    wrong = {check.name for check in found if check.outcome != "ok"}
    if not (fix and wrong and question.fix):
        return found
    try:
        await _in_time(question.fix(), _MENDED_WITHIN)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks go on
        why = reason(error, _MENDED_WITHIN)
        return [
            item.model_copy(update={"what": f"{item.what} It could not be mended: {why}"})
            if item.name in wrong
            else item
            for item in found
        ]
    return [
        item.model_copy(update={"what": f"Mended. {item.what}"})
        if item.name in wrong and item.outcome == "ok"
        else item
        for item in await _asked(question)
    ]


async def _asked(question: Question) -> list[Check]:
    try:
        return await _in_time(question.ask(), question.within)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks go on
        return [failed(question.name, reason(error, question.within), question.mend)]


async def _in_time(work: Coroutine[Any, Any, _T], seconds: float) -> _T:
    """Do something, and do not wait for its clean-up either, which may ask the same server."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody's
        task.cancel()
        raise TimeoutError
    return task.result()


def reason(error: Exception, within: float = ANSWER_WITHIN) -> str:
    """Return why something could not be done, without a secret and without a traceback.

    Args:
        error: What was raised.
        within: How many seconds it had.
    """
    match error:
        case ExportError():
            return error.msg
        case TimeoutError():
            return f"There was no answer within {within:g} s."
        case RPCError():
            return temporal_error(error.status).msg
        case _ if isinstance(error, MONGO_ERRORS):
            return tasks_error(error).msg
        case _:
            return f"An internal error occurred ({type(error).__name__}); please report it."
