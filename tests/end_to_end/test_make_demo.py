"""What `make demo`, `make dev` and `make load` install is all that they need."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import Any, Final

from tests.support.paths import REPOSITORY

WITHOUT: Final = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(name)

missing = set(sys.argv[1:])
sys.meta_path.insert(0, Missing())
import dev.demo, dev.load, dev.stack, exports.api.app, exports.cli.app, worker
"""


def installed() -> set[str]:
    """Return the packages of the project, of `api` and of `servers`, for all platforms."""
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))
    needs: dict[str, list[str]] = {}
    for package in lock["package"]:
        dependencies: list[Any] = package.get("dependencies", [])
        for extra in package.get("optional-dependencies", {}).values():
            dependencies += extra if package["name"] != "temporal-exports" else []
        needs.setdefault(package["name"], []).extend(item["name"] for item in dependencies)
        if package["name"] == "temporal-exports":
            groups = package["dev-dependencies"]
            for more in (groups["servers"], package["optional-dependencies"]["api"]):
                needs["temporal-exports"] += [item["name"] for item in more]
    found: set[str] = set()
    unseen = ["temporal-exports"]
    while unseen:
        name = unseen.pop()
        if name not in found:
            found.add(name)
            unseen += needs[name]
    return found


def test_make_demo_runs_without_the_packages_of_developers() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "dev", "load"):
        assert f"\n{target}: servers " in makefile
    assert re.search(r"sync .*--inexact --no-default-groups --group servers --extra api ", makefile)

    there = installed()
    missing = [
        module
        for module, packages in packages_distributions().items()
        if not {name.lower().replace("_", "-") for name in packages} & there
        and not (REPOSITORY / module).exists()  # vulture has a package `dev`, too
    ]
    assert {"pytest", "duckdb", "mypy"} <= set(missing)
    subprocess.run(  # noqa: S603 -- our own code
        [sys.executable, "-c", WITHOUT, *missing], cwd=REPOSITORY, check=True
    )
