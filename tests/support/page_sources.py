"""The sources of the exports page, read as texts."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support import typescript
from tests.support.paths import REPOSITORY
from tests.support.typescript import NODE

PAGE: Final = REPOSITORY / "exports" / "api" / "page"
VENDOR: Final = PAGE / "vendor"
Text = str | dict[str, str]

_PRINT_TEXTS: Final = """
const found = [];
for (const file of process.argv.slice(1)) {
  for (const texts of Object.values(await import(file))) found.push(...Object.entries(texts));
}
console.log(JSON.stringify(found));
"""
_COMPILER: Final = {
    "allowJs": True,
    "checkJs": True,
    "noEmit": True,
    "strict": False,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "module": "esnext",
    "moduleResolution": "bundler",
    "target": "es2024",
    "lib": ["es2024", "dom", "dom.iterable", "dom.asynciterable"],
    "types": [],
}
_MISTAKES: Final = (
    *(r"1\d{3}", r"5\d{3}"),  # syntax, and the settings of the compiler
    *("2304", "2305", "2307", "2552", "2614", "2724"),  # names and files that are not there
    *("2300", "2323", "2393", "2440", "2451"),  # names that are there twice
    *("2554", r"6\d{3}"),  # the number of arguments, and what nobody uses
)
"""Errors of types are left out: JavaScript without annotations has many that are none."""
_MISTAKE: Final = re.compile(rf"error TS(?:{'|'.join(_MISTAKES)}):")
_IMPORT: Final = re.compile(
    r'^(?:import|export)\b[^;"]*\bfrom\s*"([^"]*)"|\bimport\s*\(?\s*"([^"]*)"', re.MULTILINE
)
_CALL: Final = re.compile(r"\bt\(")
_TEMPLATE: Final = re.compile(r"`[^`]*`")
_LITERAL: Final = re.compile(r'(?:^|[?:])\s*"([^"]*)"')


def modules() -> dict[str, str]:
    """Return the source of each module that is ours, by its path."""
    return {
        path.relative_to(PAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PAGE.rglob("*.js"))
        if VENDOR not in path.parents
    }


def texts() -> list[tuple[str, list[Text]]]:
    """Return all texts: a name, then English and the other languages."""
    files = sorted((PAGE / "texts").glob("*.js"))
    done = subprocess.run(  # noqa: S603 -- our own sources
        [NODE, "--input-type=module", "--eval", _PRINT_TEXTS, *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [(name, languages) for name, languages in json.loads(done.stdout)]


def count_languages() -> int:
    """Return how many languages people can choose."""
    source = (PAGE / "lib" / "texts.js").read_text(encoding="utf-8")
    listed: list[str] = re.findall(r"LANGUAGES = \{([^}]*)\}", source)
    return listed[0].count(":")


def mistakes(folder: Path) -> list[str]:
    """Return what the TypeScript compiler finds.

    Args:
        folder: An empty one, for a copy of the page.
    """
    typescript.prepare(folder)
    shutil.copytree(PAGE, folder / "page")
    settings = {"compilerOptions": _COMPILER, "include": ["page/app.js"]}
    (folder / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    done = subprocess.run(  # noqa: S603 -- the locked compiler
        typescript.tsc(folder), cwd=folder, capture_output=True, text=True, check=False
    )
    return [
        line
        for line in done.stdout.splitlines()
        if _MISTAKE.search(line) and "/vendor/" not in line
    ]


def imports(source: str) -> list[str]:
    """Return what a module imports."""
    return [found[1] or found[2] for found in _IMPORT.finditer(source)]


def named_texts(source: str) -> Iterator[str]:
    """Yield the names that a module gives to `t`, also those of a choice between two."""
    for call in _CALL.finditer(source):
        argument = _first_argument(source, call.end())
        yield from _LITERAL.findall(_TEMPLATE.sub("", argument))


def _first_argument(source: str, start: int) -> str:
    depth, end = 0, start
    while depth or source[end] not in ",)":
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(source[end], 0)
        end += 1
    return source[start:end]
