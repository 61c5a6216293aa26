"""How the tests are laid out."""

import re

from tests.support.paths import REPOSITORY


def test_no_test_module_imports_another() -> None:
    found = {
        f"{path.relative_to(REPOSITORY)}: {line}"
        for path in (REPOSITORY / "tests").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(?:from|import) tests\S*\btest_|\s*from tests\S* import .*\btest_", line)
    }
    assert not found
