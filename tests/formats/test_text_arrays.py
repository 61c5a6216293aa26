"""Texts of whole columns, joined without a Python object for each."""

import pyarrow as pa
import pytest

from exports.formats.text_arrays import Texts, change_unique, joined_bytes

LETTERS = pa.array(["a", "", None, "丁", "e", "f"], pa.string())
DIGITS = pa.array(["1", "22", "3", "4", None, "6"], pa.string())


@pytest.mark.parametrize(("first", "count"), [(0, 6), (2, 3), (5, 1), (3, 0)])
@pytest.mark.parametrize("same", [(), ("<", "; ", ">")], ids=["alone", "between constants"])
def test_rows_are_joined_in_order_wherever_a_slice_begins(
    first: int, count: int, same: tuple[str, ...]
) -> None:
    letters, digits = LETTERS.slice(first, count), DIGITS.slice(first, count)
    before, between, after = same or ("", "", "")
    pieces: list[Texts | str] = (
        [before, letters, between, digits, after] if same else [letters, digits]
    )
    expected = "".join(
        f"{before}{letter or ''}{between}{digit or ''}{after}"
        for letter, digit in zip(letters.to_pylist(), digits.to_pylist(), strict=True)
    )
    assert joined_bytes(*pieces).decode() == expected


def test_each_different_text_is_changed_once_and_null_stays_null() -> None:
    given: list[object] = []

    def doubled(texts: Texts) -> Texts:
        given.extend(texts.to_pylist())
        return pa.array([2 * str(text) for text in texts.to_pylist()], pa.string())

    texts = pa.array(["x", "a", None, "b", "a", "b"], pa.string()).slice(1)
    assert change_unique(texts, doubled).to_pylist() == ["aa", None, "bb", "aa", "bb"]
    assert given == ["a", "b"]
