"""What is around every view: the languages, the way to the views, and whether the API is there."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import Request, expect

from tests.support.browsing import (
    GONE,
    PHONE,
    Complaints,
    Visitors,
    assert_accessible,
    assert_fits,
    assert_steady,
    opened,
)
from tests.support.site import Site

PLACES = {
    "#/": "Link valid for",
    "#/exports": "Link valid for",
    "#/recurring": "No recurring exports yet",
    "#/messages": "No messages yet",
    "#/nowhere": "There is no such page.",
}
"""Each view, and what it says when its data are there."""


def test_i_read_it_in_my_language_and_can_choose_another_one(visitors: Visitors) -> None:
    page = visitors.visit(locale="zh-CN")
    html = page.locator("html")
    expect(html).to_have_attribute("lang", "zh-Hans")
    page.get_by_role("link", name="我的导出").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("我的导出")
    page.get_by_label("语言").select_option(label="English")
    expect(page.get_by_role("heading", level=1)).to_have_text("My exports")
    expect(html).to_have_attribute("lang", "en")
    page.reload()
    expect(page.get_by_role("link", name="My exports")).to_be_visible()


def test_every_place_fits_a_phone_and_is_accessible_in_light_and_dark(
    site: Site, visitors: Visitors
) -> None:
    site.run(site.service.exported, created_by=visitors.me)
    page = visitors.visit(viewport=PHONE)
    for place, said in PLACES.items():
        page.goto(place)
        expect(page.get_by_text(said).first).to_be_visible()
        expect(page.locator(".skeleton")).to_have_count(0)
        assert_fits(page)
        assert_accessible(page)


def test_nothing_moves_while_a_page_is_loaded(site: Site, visitors: Visitors) -> None:
    site.run(site.service.exported, created_by=visitors.me)
    for place in ("#/", "#/exports"):
        page = visitors.visit(place)
        expect(page.get_by_text("Link valid for").first).to_be_visible()
        expect(page.locator(".skeleton")).to_have_count(0)
        assert_steady(page)


def test_who_wants_no_motion_sees_the_dark_colours_at_once(visitors: Visitors) -> None:
    page = visitors.visit()
    page.emulate_media(color_scheme="dark")
    changing = "document.getAnimations().filter((one) => one instanceof CSSTransition).length"
    assert page.evaluate(changing) == 0


def test_an_address_that_leads_nowhere_says_so_and_leads_back(visitors: Visitors) -> None:
    page = visitors.visit()
    page.goto("#/nowhere")
    expect(page.get_by_text("There is no such page.")).to_be_visible()
    page.get_by_role("link", name="To your exports").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("My exports")


def test_by_keyboard_i_skip_the_menu(visitors: Visitors) -> None:
    page = visitors.visit()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_when_the_api_is_gone_i_am_told_and_when_it_is_back_nothing_is_lost(
    site: Site, visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow(GONE)
    browser = visitors.browser(visitors.me)
    browser.clock.install()
    page = opened(browser)
    with page.expect_event("requestfailed", is_of_events):
        site.kill_api()
    expect(page.get_by_text("No connection to the service.")).to_be_visible()
    assert_accessible(page)
    assert_fits(page)
    # After one more try in vain, the page's time stands still: only I can have it try again.
    with page.expect_event("requestfailed", is_of_events):
        page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    site.start_api()
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_text("No connection to the service.")).to_be_hidden()


def test_if_it_is_not_known_who_i_am_i_can_try_again(
    visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow("status of 502")
    browser = visitors.browser(visitors.me)
    browser.route("**/session", lambda route: route.fulfill(status=502, body="<h1>Bad gateway"))
    page = browser.new_page()
    page.goto("/")
    expect(page.get_by_text("The service does not answer.")).to_be_visible()
    assert_accessible(page)
    browser.unroute("**/session")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_title(f"Signed in as {visitors.me}")).to_be_visible()


def is_of_events(request: Request) -> bool:
    return request.url.endswith("/exports/events")
