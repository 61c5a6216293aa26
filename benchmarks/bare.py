"""A workflow with as many activities as an export, which do nothing: what Temporal itself costs."""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel
from temporalio import activity, workflow

QUEUE: Final = "bare"
ACTIVITY: Final = "nothing"
_AT_MOST: Final = timedelta(minutes=1)


class Step(BaseModel):
    """One activity of an export, as its history shows it.

    Attributes:
        sent: Bytes of its input.
        answered: Bytes of its result.
        local: Whether it was a local activity.
    """

    sent: int
    answered: int
    local: bool = False


class Letter(BaseModel):
    """The input and the result of an activity: `answer` is the number of bytes to return."""

    text: str
    answer: int = 0


class BareInput(BaseModel):
    """The input of the bare workflow: the activities that it runs."""

    steps: list[Step]


@workflow.defn
class BareWorkflow:
    """Runs activities that do nothing, one after the other."""

    @workflow.run
    async def run(self, ask: BareInput) -> Letter:
        """Run them all."""
        answer = Letter(text="")
        for step in ask.steps:
            letter = Letter(text="." * step.sent, answer=step.answered)
            if step.local:
                answer = await workflow.execute_local_activity(
                    nothing, letter, start_to_close_timeout=_AT_MOST
                )
            else:
                answer = await workflow.execute_activity(
                    nothing, letter, start_to_close_timeout=_AT_MOST
                )
        return answer


@activity.defn(name=ACTIVITY)
async def nothing(letter: Letter) -> Letter:
    """Return as many bytes as the input asks for."""
    return Letter(text="." * letter.answer)
