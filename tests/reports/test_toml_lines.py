"""Every key of a TOML text is found on its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.reports.toml_lines import key_lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('a = 1\n"b.c" = 2\n', {("a",): 1, ("b.c",): 2}),
        (
            '[x."y z"]\nk.l = """\n[no]\n"""\nm = 1',
            {
                ("x",): 1,
                ("x", "y z"): 1,
                ("x", "y z", "k"): 2,
                ("x", "y z", "k", "l"): 2,
                ("x", "y z", "m"): 5,
            },
        ),
        (
            "a = [ # [\n  { b = 1 },\n  '#',\n]\nc = 2026-01-01 10:00:00\n",
            {("a",): 1, ("a", "b"): 2, ("c",): 5},
        ),
        ("[[t]]\nu = 1\n[[t]]\nu = 2.5\n", {("t",): 1, ("t", "u"): 2}),
        ("a = \"\"\"\\\"\"\"\" # \"\nb = ''''x'''''\nc = 1", {("a",): 1, ("b",): 2, ("c",): 3}),
    ],
)
def test_every_key_of_a_toml_text_has_its_line(
    text: str, lines: dict[tuple[str, ...], int]
) -> None:
    assert key_lines(text) == lines


_texts = st.text(st.sampled_from("ab#[]{}=,.\n'"), max_size=8)


@given(st.lists(_texts, min_size=1, max_size=6))
def test_text_that_looks_like_toml_leads_no_key_astray(values: list[str]) -> None:
    pieces: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for number, value in enumerate(values):
        expected[f"k{number}",] = "".join(pieces).count("\n") + 1
        pieces.append(f'k{number} = """{value}""" # {value!r}\n')

    assert key_lines("".join(pieces)) == expected
