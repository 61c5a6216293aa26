"""Any order of create, cancel, retry, renew, sweep, crash and purge ends as it should.

Hypothesis chooses the order, real servers and worker processes carry it out, and a model says
which answers are allowed. At the end of an example the offline checker judges it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dev.endpoints import Endpoints
from exports.settings import Settings
from tests.support.chaos import evidence
from tests.support.chaos.forms import SEED
from tests.support.chaos.machine_world import BROKEN, GOOD, BlockingUser, World

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXAMPLES: Final = int(os.environ.get("EXPORTS") or "6")
STEPS: Final = 10
OPEN: Final = ("pending", "running")


@dataclass
class Asked:
    """What the model knows of a task.

    Attributes:
        user: Its owner.
        task: Its id.
        form: Its format.
        may: How it may end, after all that was done to it.
        ended: How it has ended, once that is known.
        retried: Whether it was run again. The run that failed may still be cleaning up, and if it
            loses its worker meanwhile, only the sweep starts the next run.
    """

    user: BlockingUser
    task: str
    form: str
    may: set[str] = field(default_factory=set[str])
    ended: str | None = None
    retried: bool = False


class Exports(RuleBasedStateMachine):
    """Users, workers that crash, sweeps, and time that passes."""

    asked: Bundle[Asked] = Bundle("asked")

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._crashed = False
        self._all: list[Asked] = []
        world.begin()

    @rule(target=asked, who=st.sampled_from(["ann", "bea"]), what=st.sampled_from([*GOOD, BROKEN]))
    def create(self, who: str, what: tuple[str, str]) -> Asked:
        user = self._world.user(who)
        kind, form = what
        may = {"failed"} if what == BROKEN else {"done"}
        asked = Asked(user, user.create(kind, form), form, may)
        self._all.append(asked)
        return asked

    @rule(asked=asked)
    def cancel(self, asked: Asked) -> None:
        told = asked.user.does("cancel", asked.task)
        if asked.ended is not None:
            assert told == ("cancelled" if asked.ended == "cancelled" else "E_STATE")
        elif told == "cancelled":
            asked.ended = told
        elif told in OPEN:
            asked.may.add("cancelled")
        else:
            assert told == "E_STATE"
            asked.may.discard("cancelled")

    @rule(asked=asked)
    def retry(self, asked: Asked) -> None:
        told = asked.user.does("retry", asked.task)
        asked.retried |= told == "pending"
        if asked.ended == "failed":
            assert told == "pending"
            asked.ended = None
        elif asked.ended is not None or "failed" not in asked.may:
            assert told == "E_STATE"
        else:
            assert told in ("E_STATE", "pending")

    @rule(asked=asked)
    def renew(self, asked: Asked) -> None:
        told = asked.user.does("renew", asked.task)
        if asked.ended is None:
            assert told == "E_STATE" or (told == "done" and "done" in asked.may)
        else:
            known = {"done": "done", "expired": "E_EXPIRED"}
            assert told == known.get(asked.ended, "E_STATE")
        if told == "done":
            assert asked.user.file(asked.task) == self._world.reference(asked.form)

    @rule(asked=asked)
    def wait(self, asked: Asked) -> None:
        told = asked.user.wait(asked.task)
        if told == "E_TIMEOUT" and asked.retried:
            self._world.sweep()
            told = asked.user.wait(asked.task)
        assert told in ({asked.ended} if asked.ended else asked.may)
        asked.ended = told

    @rule(asked=asked, what=st.sampled_from(["get", "cancel", "retry", "renew"]))
    def intrude(self, asked: Asked, what: str) -> None:
        assert self._world.user("eve").does(what, asked.task) == "E_NOT_FOUND"

    @rule()
    def sweep(self) -> None:
        self._world.sweep()

    @rule(asked=asked)
    def purge(self, asked: Asked) -> None:
        self.wait(asked)
        self._world.time_is_over(asked.task)
        self._world.sweep()
        if asked.ended == "done":
            asked.ended = "expired"
        assert asked.user.does("get", asked.task) == asked.ended

    @rule()
    @precondition(lambda self: self._all and not self._crashed)
    def crash(self) -> None:
        self._crashed = True
        self._world.crash()

    def teardown(self) -> None:
        for asked in self._all:
            self.wait(asked)
        assert self._world.end() == []


@pytest.fixture
def world(
    settings: Settings, endpoints: Endpoints, s3_client: "S3Client", tmp_path: Path
) -> Iterator[World]:
    servers = evidence.Servers(
        mongo_uri=endpoints.mongo_uri,
        database=settings.mongo_database,
        s3=s3_client,
        bucket=settings.s3_bucket,
        prefix=settings.s3_prefix,
        temporal_address=endpoints.temporal_address,
        task_queue=settings.task_queue,
    )
    with World(settings, endpoints, servers, tmp_path).open() as world:
        yield world


@pytest.mark.timeout(120 + EXAMPLES * 20)
def test_any_order_of_calls_and_faults_ends_as_it_should(world: World) -> None:
    @seed(SEED)
    class Here(Exports):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        Here,
        settings=hypothesis_settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            database=None,
            # To shrink an example takes too long; the record says what happened.
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
