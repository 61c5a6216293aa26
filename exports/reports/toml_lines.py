"""Finds the line of each key of a TOML text, which `tomllib` does not tell."""

import re
import tomllib
from collections.abc import Iterator
from typing import Final, NamedTuple

KeyPath = tuple[str, ...]
"""A key with those of the tables around it: `("reports", "statsMonthly", "timezone")`."""

# The multi-line strings come first: they begin like an empty string.
_TOKEN: Final = re.compile(
    r'''
    (?P<text> """(?:\\.|[^\\])*?"{3,5} | \'\'\'.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
  | (?P<comment> \#[^\n]* )
  | (?P<line> \n )
  | (?P<space> [ \t\r]+ )
  | (?P<mark> [\[\]{}=.,] )
  | (?P<bare> [^\s"'\#\[\]{}=.,]+ )
    ''',
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line of every table and key, counted from 1.

    Args:
        text: A text that `tomllib` has read without complaint.
    """
    return _Locator(text).lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Return the line of a key, or of the nearest table around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind not in ("space", "comment"):
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
    yield _Token("line", "\n", line)


class _Locator:
    """Walks over the text once. What a value is does not matter, only where it ends."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._tokens = list(_tokens(text))
        self._at = 0
        table: KeyPath = ()
        while self._at < len(self._tokens):
            if self._skip("\n"):
                continue
            if self._skip("["):
                self._skip("[")
                table = self._key(())
                self._end_of_line()
            else:
                self._pair(table)
                self._end_of_line()

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _skip(self, text: str) -> bool:
        found = self._token.text == text
        self._at += found
        return found

    def _end_of_line(self) -> None:
        while self._token.kind != "line":
            self._at += 1

    def _key(self, table: KeyPath) -> KeyPath:
        path = table
        while self._token.kind in ("text", "bare"):
            path += (_name(self._token),)
            self.lines.setdefault(path, self._token.line)
            self._at += 1
            self._skip(".")
        return path

    def _pair(self, table: KeyPath) -> None:
        path = self._key(table)
        self._skip("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._skip("{"):
            while not self._skip("}"):
                if not (self._skip(",") or self._skip("\n")):
                    self._pair(path)
        elif self._skip("["):
            while not self._skip("]"):
                if not (self._skip(",") or self._skip("\n")):
                    self._value(path)
        else:
            while self._token.text not in (",", "]", "}", "\n"):
                self._at += 1


def _name(token: _Token) -> str:
    if token.kind == "bare":
        return token.text
    return str(tomllib.loads(f"key = {token.text}")["key"])
