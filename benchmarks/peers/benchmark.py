"""The same small export on other tools that a good engineer might choose.

`statsMonthly` of 60 orders, the real database included: 100 at once and 8 at a time in one worker,
then one at a time. Then 100 exports during which the worker is killed with SIGKILL and replaced.
`peers/README.md` says how each tool is set up, and why.
"""

from typing import Final

from benchmarks.peers import measure, report
from benchmarks.peers.figures import Amounts
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row

_CELERY: Final = "Celery + Redis (threads)"
_AT_ONCE: Final = {
    _CELERY: Goal(side="at least", bound=0.85),
    "DBOS + PostgreSQL": Goal(side="at least", bound=1.1),
    "procrastinate + PostgreSQL": Goal(side="at least", bound=1.1),
}
_ALONE: Final = {(_CELERY, "p50"): Goal(side="at most", bound=1.5)}


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    amounts = plan.pick(
        full=Amounts(rounds=plan.runs),
        quick=Amounts(rounds=plan.runs),
        smoke=Amounts(exports=10, alone=10, in_flight=10, bound=60),
    )
    ours, *peers = figures = await measure.run(amounts)
    at_once = [
        Row(
            what=f"{amounts.exports} exports at once",
            unit="exports/s",
            ours=ours.per_second,
            reference=peer.per_second,
            reference_name=peer.tool,
            goal=_AT_ONCE.get(peer.tool),
        )
        for peer in peers
    ]
    alone = [
        Row(
            what=f"{amounts.alone} exports, one at a time: {name}",
            unit="ms",
            ours=mine,
            reference=theirs,
            reference_name=peer.tool,
            goal=_ALONE.get((peer.tool, name)),
        )
        for peer in peers
        for name, mine, theirs in (("p50", ours.p50s, peer.p50s), ("p95", ours.p95s, peer.p95s))
    ]
    note = (
        f"What became of {amounts.in_flight} exports after their worker was killed. It was killed"
        " when a third of them was done. A new worker was started at once, and had"
        f" {amounts.bound:.0f} s."
    )
    return Outcome(
        rows=[*at_once, *alone],
        notes=[note, report.markdown(report.CRASH, report.crash(figures))],
    )
