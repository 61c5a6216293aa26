"""Users of this library can import everything that they need from `exports`."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import exports


@pytest.mark.parametrize("name", exports.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name: str) -> None:
    assert getattr(exports, name).__doc__


def test_a_type_checker_sees_the_names_that_can_be_imported() -> None:
    tree = ast.parse(Path(exports.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == sorted(exports.__all__)
    for name, module in seen.items():
        assert getattr(import_module(module or ""), name) is getattr(exports, name)
    assert (Path(exports.__file__).parent / "py.typed").exists()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'exports' has no attribute 'Reprot'$"):
        getattr(exports, "Reprot")  # noqa: B009 -- a type checker refuses the plain form


def test_importing_the_library_does_not_wait_for_the_servers_libraries() -> None:
    heavy = {"temporalio", "pymongo", "boto3", "pyarrow", "pydantic"}
    code = f"import sys, exports; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 -- our own code
