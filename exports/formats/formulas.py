"""Texts that no spreadsheet takes for a formula."""

import re
from typing import Final, cast

from exports.formats.text_arrays import (
    Texts,
    all_bytes,
    change_different,
    join,
    matches,
    one_by_one,
)
from exports.tables.arrow import kernel

# Where a spreadsheet may see a new cell begin: at the start of a field and, where the list
# separator is not a comma (Excel follows the regional settings), in the middle of one.
_BEGINS: Final = r"(?:\A|(?<=[;|\t\r\n]))"
# What a spreadsheet trims or does not show before it looks at a cell's first sign: control
# characters, spaces, invisible characters and quotes. One class, so that matching stays linear.
_SKIPPED: Final = (
    r'[\x00-\x08\x0b\x0c\x0e-\x20"\x7f\x85\xa0\xad\u1680\u2000-\u200f\u2028-\u202f'
    r"\u205f-\u2069\u3000\ufeff]"
)
_SIGN: Final = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA: Final = re.compile(rf"{_BEGINS}(?='*{_SKIPPED}*{_SIGN})|\A(?='*[\t\r\n\x00])")


def _for_re2(pattern: str) -> str:
    """Return a pattern of Python's as RE2 reads it, which writes characters another way."""
    return re.sub(
        r"\\u([0-9a-f]{4})|\\x([0-9a-f]{2})",
        lambda code: rf"\x{{{code[1] or code[2]}}}",
        pattern,
    )


# RE2 looks neither behind nor ahead, so these find texts and not places: those that `_FORMULA`
# would change, and of them those that only get an apostrophe in front.
_HAS_FORMULA: Final = _for_re2(rf"(?:\A|[;|\t\r\n])'*{_SKIPPED}*{_SIGN}|\A'*[\t\r\n\x00]")
_ONLY_BEGINS_WITH_ONE: Final = _for_re2(rf"\A'*{_SKIPPED}*{_SIGN}[^;|\t\r\n]*\z")
# A text that none of these bytes is in needs no look: the signs, what opens with NUL or a line,
# and the two bytes that every full-width sign begins with in UTF-8.
_BYTES_OF_FORMULAS: Final = (
    *(b"=", b"+", b"-", b"@", b"\t", b"\r", b"\n", b"\x00"),
    b"\xef\xbc",
)


def safe_text(text: str) -> str:
    """Return `text` so that no spreadsheet takes it, or a piece of it, for a formula.

    An apostrophe is put before what begins with `=`, `+`, `-`, `@`, a tab, a carriage return or
    a line feed (https://owasp.org/www-community/attacks/CSV_Injection), with NUL (OWASP ASVS 5.0,
    1.2.10) or with the full-width form of a sign, which East Asian editions of Excel read
    as the sign. White space, invisible characters and quotes before the sign do not hide it.

    The same is done after each `;`, `|`, tab and line break within the text, because a
    spreadsheet whose list separator is not the comma cuts the line there.

    The change can be undone, because a text that has apostrophes there already gets one more:
    where a cell may begin, `'=x` stands for `=x` and `''=x` for `'=x`.
    """
    return _FORMULA.sub("'", text)


def safe_texts(texts: Texts) -> Texts:
    """Return an array of texts, `safe_text` of each; null stays null."""
    data = all_bytes(texts)
    if not any(mark in data for mark in _BYTES_OF_FORMULAS):
        return texts
    return change_different(texts, _HAS_FORMULA, _guarded)


def _guarded(texts: Texts) -> Texts:
    simple = matches(texts, _ONLY_BEGINS_WITH_ONE)
    guarded = cast("Texts", kernel("if_else", simple, join("'", texts), texts))
    return one_by_one(guarded, kernel("invert", simple), safe_text)
