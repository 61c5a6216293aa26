"""Takes pictures of every state of the exports page, for people, and measures what it costs.

    python -m tests.support.page_pictures FOLDER [STATE ...]

Each state is seen on a phone and on a desk, in light and in dark, in English and in Chinese:
`FOLDER/done-390-dark-zh.png`. Without states, all are seen, and the figures are measured.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from dev import browser as chromium
from dev.servers import Servers
from tests.support.browsing import Complaints, Visitors
from tests.support.site import OPERATOR, Site, open_site

HEIGHTS: Final = {390: 844, 1280: 800}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
LANGUAGES: Final = {"en": "en-GB", "zh": "zh-CN"}
NEWCOMER, OWNER, UNLUCKY = "newcomer", "u1", "u2"
OFFLINE: Final = "offline"
_SEND: Final = "button.primary.large"
_STILL: Final = 400
"""Milliseconds in which a state comes to rest."""


@dataclass(frozen=True)
class Exports:
    """The ids of exports in all states."""

    done: str
    expired: str
    failed: str
    held: str


class State(NamedTuple):
    """A state of the page: who sees it, where, and which button they press there (a selector)."""

    who: str | None
    place: str
    press: str | None = None


def states(made: Exports) -> dict[str, State]:
    """Return all states that the page can be in, but for the one without a connection."""
    return {
        "sign-in": State(None, "#/"),
        "empty": State(NEWCOMER, "?type=statsMonthly&year=2026&month=10#/"),
        "none": State(NEWCOMER, "#/exports"),
        "wrong": State(
            NEWCOMER,
            "?type=recordsDetail&from=2026-10-20&to=2026-10-01#/",
            _SEND,
        ),
        "new": State(OWNER, "?type=statsMonthly&year=2026&month=9&format=xlsx#/"),
        "list": State(OWNER, "#/exports"),
        "running": State(OWNER, f"#/exports/{made.held}"),
        "done": State(OWNER, f"#/exports/{made.done}"),
        "expired": State(OWNER, f"#/exports/{made.expired}"),
        "failed": State(UNLUCKY, f"#/exports/{made.failed}"),
        "unknown": State(NEWCOMER, f"#/exports/{made.done}"),
        "recurring": State(OWNER, "#/recurring"),
        "recurring-none": State(NEWCOMER, "#/recurring"),
        "recurring-new": State(OWNER, "#/recurring?new=yes&type=statsMonthly"),
        "messages": State(OWNER, "#/messages"),
        "nowhere": State(OWNER, "#/nowhere"),
        "operator": State(OPERATOR, "#/exports"),
        "operator-detail": State(OPERATOR, f"#/exports/{made.done}"),
    }


def make(site: Site) -> Exports:
    """Make an export of each kind."""
    service = site.service
    orders = service.database["orders"]

    def exported(who: str, **given: Any) -> str:
        return site.run(service.exported, created_by=who, **given).id

    done = exported(OWNER, format="xlsx")
    exported(OWNER, kind="recordsDetail", params={"from": "2026-10-01", "to": "2026-11-01"})
    exported(OWNER, kind="statsAnnual", format="parquet")
    expired = exported(OWNER, params={"year": 2026, "month": 8})
    site.run(service.client.delete_file, expired, created_by=OWNER)
    order = site.run(orders.find_one, {})
    assert order is not None
    site.run(orders.insert_one, {**order, "_id": "bad", "amount": "ten"})
    day = order["createdAt"].date()
    period = {"from": f"{day}", "to": f"{day.replace(day=28)}"}
    failed = exported(UNLUCKY, kind="recordsDetail", params=period)
    site.run(
        service.client.recurring.create,
        "statsMonthly",
        created_by=OWNER,
        period="previous month",
        on="1st",
        at="08:00",
        format="xlsx",
    )
    site.hold()
    held = site.run(service.create, "held", params={}, created_by=OWNER).id
    return Exports(done, expired, failed, held)


class Look(NamedTuple):
    """How a state is seen."""

    width: int
    scheme: Literal["light", "dark"]
    language: str

    def name(self, state: str) -> str:
        """Return the name of the picture."""
        return f"{state}-{self.width}-{self.scheme}-{self.language}.png"

    def options(self) -> dict[str, Any]:
        """Return the options of a browser context."""
        return {
            "viewport": {"width": self.width, "height": HEIGHTS[self.width]},
            "color_scheme": self.scheme,
            "locale": LANGUAGES[self.language],
        }


def looks() -> Iterator[Look]:
    """Yield all ways to see a state."""
    for width, scheme, language in itertools.product(HEIGHTS, SCHEMES, LANGUAGES):
        yield Look(width, scheme, language)


def take(site: Site, browser: Browser, folder: Path, wanted: set[str]) -> None:
    """Take the pictures of all states that are wanted."""
    visitors = Visitors(site, browser.new_context, Complaints())
    found = states(make(site))
    unplugged: list[tuple[Page, Path]] = []
    for look in looks():
        for who in {state.who for state in found.values()}:
            context = signed_in(visitors, who, look)
            page = context.new_page()
            for name, state in found.items():
                if state.who == who and name in wanted:
                    show(page, state)
                    page.screenshot(path=folder / look.name(name), full_page=True)
            if who == OWNER and OFFLINE in wanted:
                show(page, found["list"])
                unplugged.append((page, folder / look.name(OFFLINE)))
            else:
                context.close()
    site.kill_api()
    for page, path in unplugged:
        expect(page.locator(".offline")).to_be_visible()
        page.screenshot(path=path)
        page.context.close()
    site.start_api()
    site.let_go()


def signed_in(visitors: Visitors, who: str | None, look: Look) -> BrowserContext:
    """Return a browser of somebody."""
    if who is None:
        return visitors.new_browser(**look.options())
    return visitors.browser(who, **look.options())


def show(page: Page, state: State) -> None:
    """Show a state, and wait until nothing moves any more."""
    page.goto("about:blank")
    page.goto(f"/{state.place}")
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    if state.press:
        page.locator(state.press).click()
    expect(page.locator(".skeleton")).to_have_count(0)
    page.wait_for_timeout(_STILL)


class Network(NamedTuple):
    """A slow network: bytes a second, and milliseconds until an answer begins."""

    name: str
    speed: int
    latency: int


NETWORKS: Final = (
    Network("this machine", -1, 0),
    Network("3G slow of WebPageTest (400 kbit/s, 400 ms)", 50_000, 400),
    Network("Slow 3G of DevTools (400 kbit/s, 2000 ms)", 50_000, 2_000),
)


def measure(site: Site, browser: Browser) -> None:
    """Print what a visit costs, the first one and the next one."""
    visitors = Visitors(site, browser.new_context, Complaints())
    print(f"{'network':<46}{'visit':<8}{'kB':>7}{'requests':>10}{'seconds':>9}")
    for network in NETWORKS:
        context = visitors.browser(OWNER)
        for visit in ("first", "next"):
            size, requests, seconds = _visit(context.new_page(), network)
            print(
                f"{network.name:<46}{visit:<8}{size / 1000:>7.1f}{requests:>10}{seconds:>9.2f}",
                flush=True,
            )
        context.close()


def _visit(page: Page, network: Network) -> tuple[int, int, float]:
    """Return the bytes over the wire, the requests, and the seconds until one can press Export."""
    sizes: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": network.latency,
            "downloadThroughput": network.speed,
            "uploadThroughput": network.speed,
        },
    )

    def loaded(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    session.on("Network.loadingFinished", loaded)
    began = time.monotonic()
    page.goto("/", wait_until="commit")
    page.locator(_SEND).wait_for()
    seconds = time.monotonic() - began
    sent = [size for size in sizes if size]
    page.close()
    return sum(sent), len(sent), seconds


def main() -> int:
    """Take pictures and measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("states", nargs="*")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    everything = {*states(Exports("", "", "", "")), OFFLINE}
    wanted = set(options.states) or everything
    if wanted - everything:
        print(f"There are these states: {', '.join(sorted(everything))}", file=sys.stderr)
        return 2
    chromium.ensure()
    found = chromium.find()
    with (
        Servers() as servers,
        tempfile.TemporaryDirectory() as scratch,
        open_site(servers.endpoints, Path(scratch)) as site,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=found, args=chromium.options()) as browser,
    ):
        if wanted == everything:
            measure(site, browser)
        take(site, browser, folder, wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
