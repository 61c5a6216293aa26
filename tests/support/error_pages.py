"""The table of errors as docs/errors.md shows it."""

from collections.abc import Iterable, Iterator

from exports.server_errors import mongo, ours, store, temporal
from exports.server_errors.verdict import Verdict


def tables() -> dict[str, list[list[str]]]:
    """Return the rows of each table of the page, by its heading."""
    return {
        "What is said": [_said(verdict) for verdict in _each_once(all_verdicts())],
        "MongoDB": [
            [str(row.code), row.name, _short(row.verdict.source), _short(row.verdict.tasks)]
            for row in mongo.MONGO
        ],
        "The object store": [[f"`{row.code}`", _short(row.verdict)] for row in store.STORE],
        "What botocore raises itself": [
            [f"`{row.code}`", _short(row.verdict)] for row in store.STORE_LIBRARY
        ],
        "Temporal": [[f"`{row.status.name}`", _short(row.verdict)] for row in temporal.TEMPORAL],
        "Ours": [
            [f"`{row.error.code}`", _yes(retried=not row.error.permanent), str(row.fault)]
            for row in ours.OURS
        ],
    }


def all_verdicts() -> Iterator[Verdict]:
    pairs = [row.verdict for row in mongo.MONGO]
    for pair in (*pairs, mongo.MONGO_BUSY, mongo.MONGO_AWAY, mongo.MONGO_VALUES):
        yield pair.source
        yield pair.tasks
    yield from (row.verdict for row in (*store.STORE, *store.STORE_LIBRARY))
    yield from (store.STORE_BUSY, store.STORE_AWAY)
    yield from (row.verdict for row in temporal.TEMPORAL)


def _each_once(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return list(dict.fromkeys(verdicts))


def _said(verdict: Verdict) -> list[str]:
    sentence = verdict.sentence.replace("{where}", "…").replace("{what}", "…")
    return [*_cells(verdict), sentence]


def _cells(verdict: Verdict) -> list[str]:
    error = verdict.error
    return [f"`{error.code}`", _yes(retried=not error.permanent), str(verdict.fault)]


def _short(verdict: Verdict) -> str:
    return ", ".join(_cells(verdict))


def _yes(*, retried: bool) -> str:
    return "retried" if retried else "given up"
