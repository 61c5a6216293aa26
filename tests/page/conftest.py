"""A service for the tests of one process, and a browser for each person of a test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from dev import browser
from dev.endpoints import Endpoints
from tests.support.browsing import Complaints, Visitors
from tests.support.site import Site, open_site


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The Chromium of this system, or else that of Playwright."""
    found = browser.find()
    there = {} if found is None else {"executable_path": str(found)}
    return {**browser_type_launch_args, **there, "args": browser.options()}


@pytest.fixture(scope="session")
def base_url() -> None:
    """None: the site says where it is. The plugin's own fixture makes pytest warn."""


@pytest.fixture(scope="session")
def site(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(endpoints, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    heard = Complaints()
    yield heard
    heard.check()


@pytest.fixture
def visitors(
    site: Site, complaints: Complaints, new_context: Callable[..., BrowserContext]
) -> Iterator[Visitors]:
    yield Visitors(site, new_context, complaints)
    site.start_api()  # a test that has failed may have left it dead


@pytest.fixture
def held(site: Site) -> Iterator[Site]:
    """The service, with exports of the type `held` that stay in the middle."""
    site.hold()
    yield site
    site.let_go()
