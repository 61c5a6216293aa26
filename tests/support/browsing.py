"""A browser that notices what the page does wrong, and people who use it."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, ViewportSize, expect

from tests.support.service import PATIENCE
from tests.support.site import Site

PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
_PATIENCE_MS: Final = PATIENCE.total_seconds() * 1000
GONE: Final = "net::ERR_"
"""What the browser complains of when the API is gone, whatever it was asking for."""
_TELL: Final = """
addEventListener("securitypolicyviolation", (seen) => {
  console.error(`CSP: ${seen.violatedDirective} ${seen.blockedURI} ${seen.sourceFile}`);
});
"""
_WATCH_SHIFTS: Final = """
window.shifted = 0;
new PerformanceObserver((seen) => {
  for (const { value, hadRecentInput } of seen.getEntries()) if (!hadRecentInput) shifted += value;
}).observe({ type: "layout-shift", buffered: true });
"""
_MOST_SHIFT: Final = 0.1  # what https://web.dev/articles/cls calls good
_WIDER: Final = """
document.documentElement.scrollWidth <= document.documentElement.clientWidth ? []
  : [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth)
    .map((one) => one.outerHTML.slice(0, 200))
"""
_NEXT_FRAME: Final = "new Promise((seen) => requestAnimationFrame(() => setTimeout(seen)))"
_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
expect.set_options(timeout=_PATIENCE_MS)


@dataclass
class Complaints:
    """What the page and the browser complain of: errors, warnings, violations of the policy.

    Attributes:
        heard: All of them.
        allowed: Patterns of those that a test expects.
    """

    heard: list[str] = field(default_factory=list[str])
    allowed: list[str] = field(default_factory=list[str])

    def allow(self, *patterns: str) -> None:
        """Expect complaints."""
        self.allowed += patterns

    def listen(self, context: BrowserContext) -> None:
        """Listen to all pages of a context."""
        context.add_init_script(_TELL)
        context.add_init_script(_WATCH_SHIFTS)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.heard.append(f"uncaught: {error.error}"))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self.heard.append(f"{message.text} ({message.location.get('url', '')})")

    def check(self) -> None:
        """Fail if there is one that was not expected."""
        expected = re.compile("|".join(self.allowed) or r"(?!)")
        unexpected = [text for text in self.heard if not expected.search(text)]
        assert not unexpected, "\n".join(unexpected)


class Visitors:
    """Lets people open the page, each with a browser of their own.

    Args:
        site: The service.
        new_context: Makes a browser context, with the options of Playwright.
        complaints: Hears what goes wrong.

    Attributes:
        me: The person of this test, who has not exported anything yet.
    """

    def __init__(
        self, site: Site, new_context: Callable[..., BrowserContext], complaints: Complaints
    ) -> None:
        self._site = site
        self._new_context = new_context
        self._complaints = complaints
        self.me: Final = f"u-{secrets.token_hex(3)}"

    def browser(self, who: str, **options: Any) -> BrowserContext:
        """Return a browser in which somebody is signed in."""
        context = self.new_browser(**options)
        bearer = {"Authorization": f"Bearer {self._site.token(who)}"}
        assert context.request.post("/session", headers=bearer).ok
        return context

    def new_browser(self, **options: Any) -> BrowserContext:
        """Return a browser in which nobody is signed in."""
        given = {"locale": "en-GB", "timezone_id": "Asia/Shanghai", "reduced_motion": "reduce"}
        context = self._new_context(base_url=self._site.url, **{**given, **options})
        context.set_default_timeout(_PATIENCE_MS)
        self._complaints.listen(context)
        return context

    def visit(self, place: str = "#/", *, who: str | None = None, **options: Any) -> Page:
        """Return the page at a place, once it is there for a person; by default, for me."""
        return opened(self.browser(who or self.me, **options), place)


def opened(browser: BrowserContext, place: str = "#/") -> Page:
    """Open the page in a new tab, and wait until it is there."""
    page = browser.new_page()
    page.goto(f"/{place}")
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    return page


def assert_accessible(page: Page) -> None:
    """Let axe-core search the page as it is now, in light and in dark."""
    for scheme in _SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(_NEXT_FRAME)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def assert_steady(page: Page) -> None:
    """Fail if what one reads has moved since the page was loaded."""
    page.evaluate(_NEXT_FRAME)
    shifted = page.evaluate("shifted")
    assert shifted < _MOST_SHIFT, f"what one reads has moved by {shifted:.3f}"


def assert_fits(page: Page) -> None:
    """Fail if one would have to scroll sideways."""
    page.evaluate(_NEXT_FRAME)
    room = page.evaluate("document.documentElement.clientWidth")
    wide = page.evaluate(_WIDER)
    assert not wide, f"wider than {room} pixels: {wide}"
