"""docs/errors.md and docs/configuration.md say what the code says."""

import pytest

from dev.pages import DOCS, pages


@pytest.mark.parametrize(("name", "text"), [*pages()])
def test_a_generated_page_is_up_to_date(name: str, text: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == text, "run `make docs`"
