"""The image is small, locked, not run as root, and can be built on ARM too."""

import fnmatch
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename
from pydantic import BaseModel, ConfigDict, Field

from tests.support import compose_file
from tests.support.paths import REPOSITORY


class Dependency(BaseModel):
    name: str
    version: str | None = None
    marker: str | None = None
    extra: list[str] = []


class Wheel(BaseModel):
    url: str

    @property
    def tags(self) -> frozenset[Tag]:
        return parse_wheel_filename(self.url.rsplit("/", 1)[1])[3]


class Package(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    name: str
    version: str
    dependencies: list[Dependency] = []
    optional: dict[str, list[Dependency]] = Field(alias="optional-dependencies", default={})
    wheels: list[Wheel] = []


def _instructions() -> list[str]:
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def _python() -> tuple[int, int]:
    pinned = re.search(r"^ARG PYTHON=python:(\d+)\.(\d+)\.\d+-slim-\w+$", _instructions()[0])
    assert pinned, "the base image is a slim Python, pinned to the patch and to the Debian release"
    return int(pinned[1]), int(pinned[2])


def _sources() -> list[str]:
    """Return the paths that are copied from the checkout, not from another stage."""
    copies = [line.split()[1:-1] for line in _instructions() if line.startswith("COPY ")]
    return [
        source.rstrip("/")
        for copied in copies
        if not copied[0].startswith("--from")
        for source in copied
    ]


def test_the_image_has_a_supported_python() -> None:
    major, minor = _python()
    assert f"{major}.{minor}.0" in SpecifierSet(_project()["project"]["requires-python"])
    assert {line for line in _instructions() if line.startswith("FROM")} == {
        "FROM ${PYTHON} AS build",
        "FROM ${PYTHON}",
    }


def test_the_image_has_the_locked_packages_and_no_development_tools() -> None:
    installs = [line for line in _instructions() if "uv sync" in line]
    assert installs
    for line in installs:
        assert "--locked --no-default-groups --extra api --extra codec --extra messages" in line
        assert "--group" not in line
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    pinned = re.search(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    assert pinned
    tool = REPOSITORY / "dev" / "uv-requirements.txt"
    assert f"\nuv=={pinned[1]} " in tool.read_text(encoding="utf-8"), "the uv of the Makefile"


def test_every_installed_file_has_a_hash() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = [
        line for line in (*_instructions(), *makefile.splitlines()) if "pip install" in line
    ]
    assert len(installs) == 2
    for line in installs:
        assert re.search(r"--require-hashes --requirement \S*uv-requirements\.txt", line), line
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))
    for package in lock["package"]:
        if "registry" in package["source"]:
            files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
            assert files, package["name"]
            assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
        else:
            assert package["source"] == {"editable": "."}, package["name"]


def test_the_last_stage_runs_as_a_user_who_is_not_root_and_installs_nothing() -> None:
    lines = _instructions()
    last = lines[lines.index("FROM ${PYTHON}") :]
    (user,) = [line for line in last if line.startswith("USER ")]
    assert re.fullmatch(r"USER [1-9]\d+:[1-9]\d+", user), "a number, as Kubernetes wants it"
    assert [line for line in last if line.startswith("RUN ")] == [
        "RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin exports"
    ]


def test_the_image_works_with_a_read_only_root() -> None:
    assert any("PYTHONDONTWRITEBYTECODE=1" in line for line in _instructions())
    assert any("UV_COMPILE_BYTECODE=1" in line for line in _instructions())


def test_image_and_compose_have_the_same_health_check() -> None:
    (line,) = [line for line in _instructions() if line.startswith("HEALTHCHECK")]
    asked = json.loads(line[line.index("[") :])
    assert asked == ["exports", "worker", "--check"]
    assert compose_file.load().services["worker"].healthcheck.test == ["CMD", *asked]
    assert 'ENTRYPOINT ["exports"]' in _instructions()
    assert 'CMD ["worker"]' in _instructions()
    assert "STOPSIGNAL SIGTERM" in _instructions()


def test_the_worker_reads_the_reports_file_that_compose_mounts() -> None:
    (line,) = [line for line in _instructions() if "EXPORTS_REPORTS_FILE=" in line]
    path = line.partition("EXPORTS_REPORTS_FILE=")[2].split()[0]
    assert f"COPY exports.toml {path}" in _instructions()
    assert f"./exports.toml:{path}:ro" in compose_file.load().services["worker"].volumes


def test_everything_in_the_wheel_is_in_the_image() -> None:
    wheel = _project()["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert set(wheel) <= set(_sources())
    assert "worker.py" in wheel
    assert [source for source in _sources() if not (REPOSITORY / source).exists()] == []


def test_a_build_sees_its_sources_and_nothing_else() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is excluded by default"
    allowed = {rule.removeprefix("!").rstrip("/") for rule in rules if rule.startswith("!")}
    assert allowed == set(_sources())
    for name in (".env", ".git", ".dev", ".venv", "tests", "demo-exports"):
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in allowed)


def _runtime_packages(environment: dict[str, str]) -> Iterator[Package]:
    """Yield the packages of the image in an environment, as the lock file has them."""
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))
    packages = [Package.model_validate(package) for package in lock["package"]]
    unseen = [Dependency(name=_project()["project"]["name"], extra=["api", "codec"])]
    seen: set[str] = set()
    while unseen:
        wanted = unseen.pop()
        if wanted.marker and not Marker(wanted.marker).evaluate(environment):
            continue
        (package,) = [
            package
            for package in packages
            if package.name == wanted.name and wanted.version in (None, package.version)
        ]
        for extra in wanted.extra:
            unseen += package.optional[extra]
        if package.name not in seen:
            seen.add(package.name)
            yield package
            unseen += package.dependencies


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_an_image_can_be_built_on_this_machine_without_a_compiler(machine: str) -> None:
    major, minor = _python()
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{major}.{minor}.0",
        "python_version": f"{major}.{minor}",
        "sys_platform": "linux",
    }
    # Debian 13 has glibc 2.41; wheels for any older one run on it.
    platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in range(41, 16, -1)]
    platforms += [f"manylinux2014_{machine}"]
    runs_here = {
        *cpython_tags((major, minor), platforms=platforms),
        *compatible_tags((major, minor), f"cp{major}{minor}", platforms),
    }
    this, *runtime = _runtime_packages(environment)
    assert this.name == _project()["project"]["name"]
    assert {"fastapi", "pyarrow", "pymongo", "temporalio", "uvicorn"} <= {
        package.name for package in runtime
    }
    assert [
        package.name
        for package in runtime
        if not any(wheel.tags & runs_here for wheel in package.wheels)
    ] == []
