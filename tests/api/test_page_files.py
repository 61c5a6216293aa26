"""The files of the exports page: complete, in two languages, small, and served with care."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

from exports.api.page_files import PageFiles
from exports.api.settings import ApiSettings
from tests.support.api import open_api
from tests.support.page_sources import (
    PAGE,
    VENDOR,
    count_languages,
    imports,
    mistakes,
    modules,
    named_texts,
    texts,
)
from tests.support.paths import REPOSITORY
from tests.support.service import Service

MOST_BYTES = 150_000
EXPORTED = re.compile(r"^export (?:async )?(?:const|function|class) (\w+)", re.MULTILINE)
VALUE = re.compile(r"\{(\w+)\}")


def values_in(text: str | dict[str, str]) -> set[str]:
    forms = text.values() if isinstance(text, dict) else [text]
    return {value for form in forms for value in VALUE.findall(form)}


def test_every_text_is_there_in_every_language_with_the_same_values() -> None:
    there, count = texts(), count_languages()
    names = Counter(name for name, _ in there)
    assert [name for name, times in names.items() if times > 1] == [], "one hides the other"
    for name, languages in there:
        assert len(languages) == count, name
        english, *others = languages
        assert english, name
        for other in others:
            assert other, name
            assert isinstance(other, str), f"{name}: only English has two forms"
            assert values_in(english) == values_in(other), name
        if isinstance(english, dict):
            assert set(english) == {"one", "other"}, name
            assert "count" in values_in(english), name


def test_every_text_that_the_page_says_exists_and_each_one_is_said() -> None:
    there = {name for name, _ in texts()}
    sources = {path: source for path, source in modules().items() if not path.startswith("texts/")}
    for path, source in sources.items():
        assert set(named_texts(source)) <= there, path

    everything = "\n".join(sources.values())
    # `t(error ? "a" : "b")`, `{ path: "", name: "a" }` and t(`status.${status}`) are said as well.
    said = set(re.findall(r'"([^"\n]*)"', everything))
    beginnings = tuple(re.findall(r"`([a-z][\w.-]*[.-])\$\{", everything))
    assert {name for name in there - said if not name.startswith(beginnings)} == set()


def test_a_module_imports_files_that_exist_and_nothing_else() -> None:
    for path, source in modules().items():
        for wanted in imports(source):
            assert wanted.startswith("."), f"{path}: {wanted}"
            assert (PAGE / path).parent.joinpath(wanted).resolve().is_file(), f"{path}: {wanted}"


def test_no_module_uses_a_name_that_is_not_there_and_none_is_there_for_nobody(
    tmp_path: Path,
) -> None:
    assert mistakes(tmp_path) == []
    sources = modules()
    for path, source in sources.items():
        others = "\n".join(text for other, text in sources.items() if other != path)
        used = set(re.findall(r"\w+", others))
        assert set(EXPORTED.findall(source)) <= used, path


def test_the_libraries_are_what_the_list_says_with_their_licences() -> None:
    listed = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))["packages"]
    hashes = {name: digest for package in listed for name, digest in package["sha256"].items()}
    there = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "vendor.json"
    }
    assert there == hashes
    for package in listed:
        assert package["licence"] in {"MIT", "ISC", "Apache-2.0", "BSD-3-Clause"}, package["name"]
        assert any(name.startswith("LICENSE-") for name in package["sha256"]), package["name"]


def test_all_of_the_page_is_less_than_150_kb_over_the_wire() -> None:
    page = PageFiles(ApiSettings())
    sent = len(gzip.compress(page.index.body)) + sum(
        len(gzip.compress(file.body)) for file in page.files.values()
    )
    assert sent < MOST_BYTES


def test_the_wheel_has_all_files_of_the_page(tmp_path: Path) -> None:
    uv = REPOSITORY / ".tools" / "bin" / "uv"
    subprocess.run(  # noqa: S603 -- builds our own sources
        [uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path],
        cwd=REPOSITORY,
        env={**os.environ, "UV_SYSTEM_CERTS": "1"},  # as the Makefile says it
        check=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    there = {path.relative_to(REPOSITORY).as_posix() for path in PAGE.rglob("*") if path.is_file()}
    assert there <= packed


async def test_browsers_keep_the_files_and_ask_for_nothing_else_than_a_new_version(
    idle_service: Service,
) -> None:
    async with open_api(idle_service, api_sign_in_url='https://in.example.com/?a="b"') as api:
        page = await api.ask("GET", "/", None)
        assert page.status_code == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-cache"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "frame-ancestors 'none'" in policy
        assert 'content="https://in.example.com/?a=&quot;b&quot;"' in page.text
        same = {"If-None-Match": page.headers["ETag"]}
        again = await api.ask("GET", "/", None, headers=same)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Content-Security-Policy"] == policy

        named = set(re.findall(r'(?:href|src)="(page/[^"]+)"', page.text))
        [folder] = {name.rsplit("/app.js", 1)[0] for name in named if name.endswith("/app.js")}
        for name in sorted(named | {f"{folder}/{path}" for path in modules()}):
            answer = await api.ask("GET", f"/{name}", None, headers={"Accept-Encoding": "gzip"})
            assert answer.status_code == 200
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        plain = await api.ask("GET", f"/{folder}/app.js", None, headers={"Accept-Encoding": "br"})
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["Content-Type"].startswith("text/javascript")
        assert plain.content == (PAGE / "app.js").read_bytes()
        for other in ("page/0123456789abcdef/app.js", f"{folder}/nothing.js", f"{folder}/../app"):
            unknown = await api.ask("GET", f"/{other}", None)
            assert unknown.status_code == 404
            assert "immutable" not in unknown.headers.get("Cache-Control", "")
