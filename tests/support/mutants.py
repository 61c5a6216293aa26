"""Mutation testing: small mistakes in the code that matters most, and whether a test notices.

    make mutants ONLY="periods server_errors" SAMPLE=40

One mistake after the other is made in a copy of the project, and the tests that are meant for the
module run until one fails. A mistake that no test notices has survived: either a test is missing,
or the mistake makes no difference. cosmic-ray makes them; two kinds of mistakes are our own,
because much of this code is tables and updates: a changed word, and a statement that is left out.
"""

import argparse
import difflib
import itertools
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from dev.endpoints import Endpoints
from dev.servers import Servers
from tests.support.copies import copied, run_tests
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from cosmic_ray.ast import Node

# Each operator becomes its opposite and its neighbour, not each of all others.
_OPERATORS: Final = (
    *("AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceUnaryOperator_Delete_Not"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "NumberReplacer"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
    "RemoveDecorator",
    *(
        f"ReplaceComparisonOperator_{pair}"
        for pair in (
            *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is", "Lt_LtE", "Lt_GtE"),
            *("LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
        )
    ),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul", "Div_Mul", "Mod_Mul")
    ),
)
_SEED: Final = 20261001
_Range = tuple[tuple[int, int], tuple[int, int]]  # from a line and column to another
_LONGEST_TEST: Final = 60  # seconds: a workflow that can't go on is tried again for ever


@dataclass(frozen=True)
class Module:
    """The files that are mutated, and the tests that should notice it, the quickest first."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


MODULES: Final = {
    "periods": Module(
        ("exports/reports/periods.py",),
        ("tests/reports/test_periods.py", "tests/reports/test_params.py"),
    ),
    "server_errors": Module(
        ("exports/server_errors",),
        # The page of errors is generated from the tables.
        ("tests/server_errors", "tests/docs/test_generated_pages.py"),
    ),
    "transitions": Module(
        ("exports/tasks/transitions.py",),
        ("tests/tasks/test_transitions.py", "tests/tasks/test_audit.py", "tests/tasks"),
    ),
    "workflows": Module(
        ("workflows",),
        (
            *("tests/temporal/test_replay.py", "tests/workflows/test_exports.py"),
            *("tests/workflows/test_failures.py", "tests/workflows/test_cancel.py"),
            *("tests/workflows/test_bulk.py", "tests/workflows/test_retries.py"),
            *("tests/chaos/test_lost_workers.py", "tests/activities/test_sweep.py"),
            *("tests/temporal/test_direct_start.py", "tests/encryption/test_encryption.py"),
            "tests/temporal/test_too_large.py",
            *("tests/runtime/test_mixed_load.py", "tests/messages/test_deliveries.py"),
        ),
    ),
}


class _OtherWord:
    """Changes a name, a status or an operator: any text without a space, except docstrings."""

    def mutation_positions(self, node: "Node") -> Iterator[_Range]:
        if node.type == "string" and node.parent.type != "simple_stmt":
            text = node.value
            if text[0] in "\"'" and not text.startswith('"""') and not set(" {") & set(text):
                yield node.start_pos, node.end_pos

    def mutate(self, node: "Node", _: int, /) -> "Node":
        quote = node.value[0]
        return _parsed(f"{node.prefix}{quote}XX{node.value[1:-1]}XX{quote}")


class _NoStatement:
    """Leaves out a call or an assignment in a function."""

    def mutation_positions(self, node: "Node") -> Iterator[_Range]:
        if node.type == "simple_stmt" and _is_in_a_function(node):
            [statement, *_] = node.children
            if statement.type in {"expr_stmt", "atom_expr", "await", "power"}:
                yield node.start_pos, node.end_pos

    def mutate(self, node: "Node", _: int, /) -> "Node":
        prefix = node.get_first_leaf().prefix
        return _parsed(f"{prefix}pass\n", whole=True)


def _is_in_a_function(node: "Node") -> bool:
    while node.type not in {"funcdef", "classdef", "file_input"}:
        node = node.parent
    return node.type == "funcdef"


def _parsed(code: str, *, whole: bool = False) -> "Node":
    # What is parsed as a module keeps its indentation as the prefix of its first leaf.
    prefix = code[: len(code) - len(code.lstrip())]
    statement = get_ast(code.lstrip()).children[0]
    leaf = statement.get_first_leaf()
    leaf.prefix = prefix
    return statement if whole else leaf


@dataclass(frozen=True)
class Mutant:
    """A file with one mistake.

    Attributes:
        file: Its path in the project.
        was: What it contains.
        code: The same, with the mistake.
    """

    file: str
    was: str
    code: str

    def __str__(self) -> str:
        """Say where the mistake is, and what it is."""
        old, new = self.was.splitlines(), self.code.splitlines()
        for tag, first, last, low, high in difflib.SequenceMatcher(None, old, new).get_opcodes():
            if tag != "equal":
                before = " ".join(line.strip() for line in old[first:last])
                after = " ".join(line.strip() for line in new[low:high])
                return f"{self.file}:{first + 1}: {before}  ->  {after}"
        return self.file


def mutants_of(file: str) -> list[Mutant]:
    """Return all mutants of a file that are valid Python."""
    was = (REPOSITORY / file).read_text(encoding="utf-8")
    found: dict[str, Mutant] = {}
    operators = [get_operator(f"core/{name}")() for name in _OPERATORS]
    for operator in (*operators, _OtherWord(), _NoStatement()):
        positions = (
            position
            for node in ast_nodes(get_ast(was))
            for position in operator.mutation_positions(node)
        )
        for occurrence, _ in enumerate(positions):
            code = mutate_code(was, operator, occurrence)
            if code is not None and code != was and _is_python(code):
                found[code] = Mutant(file, was, code)
    return list(found.values())


def _is_python(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


@dataclass
class _Run:
    """The mutants of one module, tried side by side."""

    module: Module
    servers: Endpoints
    longest: float
    waiting: "queue.SimpleQueue[Mutant]"
    survivors: list[Mutant] = field(default_factory=list[Mutant])
    failed: list[BaseException] = field(default_factory=list[BaseException])

    def try_all(self) -> None:
        try:
            with copied() as root:
                for number in itertools.count(1):
                    self._try(root, self.waiting.get_nowait(), number)
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001 -- raised where the thread is waited for
            self.failed.append(error)

    def _try(self, root: Path, mutant: Mutant, number: int) -> None:
        path = root / mutant.file
        _write(path, mutant.code, number)
        try:
            outcome = run_tests(
                root,
                self.module.tests,
                self.servers,
                options=("-x", "-o", f"timeout={_LONGEST_TEST}"),
                longest=self.longest,
            )
            survived = not outcome.noticed and outcome.no_code is None
        except RuntimeError:  # pytest can't import the mutant, but it could import the original
            survived = False
        if survived:
            self.survivors.append(mutant)
            print(f"  survived  {mutant}", flush=True)
        _write(path, mutant.was, -number)


def _write(path: Path, code: str, number: int) -> None:
    """Write a file so that Python sees that it has changed: it looks at the seconds."""
    path.write_text(code, encoding="utf-8")
    then = time.time() + number * 10
    os.utime(path, (then, then))


def _files(module: Module) -> list[str]:
    return sorted(
        path.relative_to(REPOSITORY).as_posix()
        for file in module.files
        for path in (
            (REPOSITORY / file).glob("*.py") if file[-3:] != ".py" else [REPOSITORY / file]
        )
    )


def _score(name: str, module: Module, sample: int | None, servers: Endpoints) -> str:
    """Try the mutants of a module; return the score, in a line."""
    every = [mutant for file in _files(module) for mutant in mutants_of(file)]
    count = min(sample or len(every), len(every))
    chosen = random.Random(_SEED).sample(every, count)  # noqa: S311 -- not for secrets
    print(f"{name}: {count} of {len(every)} mutants", flush=True)
    with copied() as root:
        began = time.monotonic()
        outcome = run_tests(root, module.tests, servers)
        once = time.monotonic() - began
    if outcome.noticed or outcome.no_code:
        raise SystemExit(f"{name}: its tests fail without any mistake: {outcome}")
    print(f"  its tests take {once:.0f} s, all of them", flush=True)
    run = _Run(module, servers, once * 5 + _LONGEST_TEST, queue.SimpleQueue())
    for mutant in chosen:
        run.waiting.put(mutant)
    threads = [threading.Thread(target=run.try_all) for _ in range(os.cpu_count() or 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in run.failed:
        raise error
    noticed = count - len(run.survivors)
    took = time.monotonic() - began
    return f"{name}: {noticed} of {count} noticed ({noticed / count:.0%}), {took:.0f} s"


def main() -> int:
    """Try the mutants of the chosen modules; return the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--sample", type=int, help="how many to try of each module, at random")
    chosen = parser.parse_args()
    if unknown := set(chosen.modules) - set(MODULES):
        parser.error(f"no such module: {', '.join(sorted(unknown))}; there are {[*MODULES]}")
    with Servers() as servers:
        scores = [
            _score(name, MODULES[name], chosen.sample, servers.endpoints)
            for name in chosen.modules or MODULES
        ]
    print("\n".join(scores))
    return 0


if __name__ == "__main__":
    sys.exit(main())
