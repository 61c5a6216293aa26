"""Texts that no spreadsheet treats as a formula."""

import re
from typing import Final, cast

from exports.formats.text_arrays import (
    Texts,
    change_where,
    join,
    matches,
)
from exports.tables.arrow import kernel

# Where a spreadsheet may begin a new cell: at the start of a field and, if its list separator is
# not the comma (Excel uses the regional settings), inside of a field.
_CELL_START: Final = r"(?:\A|(?<=[;|\t\r\n]))"
# What a spreadsheet removes or ignores at the start of a cell: control characters, spaces,
# invisible characters and quotes. One character class, so that matching takes linear time.
_SKIPPED: Final = (
    r'[\x00-\x08\x0b\x0c\x0e-\x20"\x7f\x85\xa0\xad\u1680\u2000-\u200f\u2028-\u202f'
    r"\u205f-\u2069\u3000\ufeff]"
)
_SIGN: Final = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
# Without a name, a reference or an operator in it, it can only be the number that it shows.
_NEGATIVE: Final = r"-[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_FORMULA: Final = re.compile(
    rf"(?!\A{_NEGATIVE}\Z){_CELL_START}(?='*{_SKIPPED}*{_SIGN})|\A(?='*[\t\r\n\x00])"
)


def _for_re2(pattern: str) -> str:
    """Return a pattern in the syntax of RE2, which writes code points in braces."""
    return re.sub(
        r"\\u([0-9a-f]{4})|\\x([0-9a-f]{2})",
        lambda code: rf"\x{{{code[1] or code[2]}}}",
        pattern,
    )


# RE2 has no lookaround. So the first pattern finds the texts that `_FORMULA` changes and negative
# numbers, the second those of them that would only get an apostrophe in front, and the third the
# negative numbers, which get none.
_HAS_FORMULA: Final = _for_re2(rf"(?:\A|[;|\t\r\n])'*{_SKIPPED}*{_SIGN}|\A'*[\t\r\n\x00]")
_HAS_ONE_AT_START: Final = _for_re2(rf"\A'*{_SKIPPED}*{_SIGN}[^;|\t\r\n]*\z")
_IS_NEGATIVE: Final = rf"\A{_NEGATIVE}\z"
# A text without any of these bytes is not changed: the signs, the characters that may begin a
# formula or a line, and the first two bytes of every full-width sign in UTF-8.
BYTES_OF_FORMULAS: Final = (
    *(b"=", b"+", b"-", b"@", b"\t", b"\r", b"\n", b"\x00"),
    b"\xef\xbc",
)


def safe_text(text: str) -> str:
    """Return `text` so that no spreadsheet treats it, or a piece of it, as a formula.

    An apostrophe is put before a text that begins with `=`, `+`, `-`, `@`, a tab, a carriage
    return or a line feed (https://owasp.org/www-community/attacks/CSV_Injection), with NUL (OWASP
    ASVS 5.0, 1.2.10), or with the full-width form of a sign, which East Asian editions of Excel
    read as the sign. This also works if white space, invisible characters or quotes come first.

    A text that is a negative number in digits, such as `-3.5` or `-1e-07`, and nothing else is not
    changed: also as a formula it is only this number. `-Infinity` is a name to a spreadsheet.

    The same is done after each `;`, `|`, tab and line break within the text, because a
    spreadsheet whose list separator is not the comma begins a new cell there.

    The change can be undone, because a text that already has apostrophes there gets one more:
    where a cell may begin, `'=x` stands for `=x`, and `''=x` for `'=x`.
    """
    return _FORMULA.sub("'", text)


def safe_texts(texts: Texts) -> Texts:
    """Return the `safe_text` of each text of an array; null stays null."""
    marked = matches(texts, _HAS_FORMULA)
    escaped = _escaped(cast("Texts", kernel("filter", texts, marked)))
    return cast("Texts", kernel("replace_with_mask", texts, marked, escaped))


def _escaped(texts: Texts) -> Texts:
    simple = matches(texts, _HAS_ONE_AT_START)
    marked = kernel("and_not", simple, matches(texts, _IS_NEGATIVE))
    escaped = cast("Texts", kernel("if_else", marked, join("'", texts), texts))
    return change_where(escaped, kernel("invert", simple), safe_text)
