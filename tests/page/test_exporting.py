"""Asking for an export, and what becomes of it, until its file is open in another program."""

import re
from io import BytesIO

import openpyxl
from playwright.sync_api import Locator, Page, expect

from exports.names import TASKS_COLLECTION
from tests.support.browsing import (
    GONE,
    PHONE,
    Complaints,
    Visitors,
    assert_accessible,
    assert_fits,
    opened,
)
from tests.support.site import OPERATOR, WEB_UI, Site

HELD = "?type=held#/"
MONTH = "?type=statsMonthly&year=2026&month=10&format=xlsx#/"


def newest(page: Page) -> Locator:
    """The first of the cards with exports."""
    return page.get_by_role("article").first


def ask(page: Page) -> Locator:
    page.get_by_role("button", name="Export", exact=True).click()
    return newest(page)


def test_i_ask_for_a_month_look_inside_and_open_the_file_in_a_spreadsheet(
    visitors: Visitors,
) -> None:
    page = visitors.visit("?type=statsMonthly&year=2026#/")
    expect(page.get_by_text("No exports yet")).to_be_visible()
    assert_accessible(page)
    assert_fits(page)
    page.get_by_text("Oct", exact=True).click()
    page.get_by_text("Excel (xlsx)").click()
    expect(page).to_have_url(re.compile("month=10"))
    card = ask(page)
    expect(card).to_contain_text("October 2026")
    expect(card).to_contain_text("Done")
    expect(card).to_contain_text("Link valid for")
    assert_accessible(page)
    with page.expect_download() as downloading:
        card.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename.endswith("2026-10.xlsx")
    book = openpyxl.load_workbook(BytesIO(downloading.value.path().read_bytes()))
    assert book.worksheets[0].max_row > 100
    assert "Chart" in book.sheetnames

    card.get_by_role("heading").get_by_role("link").click()
    detail = page.locator("section.detail")
    expect(detail.get_by_role("table").first).to_be_visible()
    expect(detail).to_contain_text("History")
    chart = detail.get_by_role("slider").first
    chart.press("End")
    chart.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuetext", re.compile("30 Oct"))
    expect(detail.locator(".chart-readout").first).to_contain_text("30 Oct")
    assert_accessible(page)
    page.set_viewport_size(PHONE)
    expect(detail).to_be_visible()
    assert_fits(page)
    assert_accessible(page)


def test_a_link_opens_a_form_as_it_was_and_my_last_choice_is_remembered(
    visitors: Visitors,
) -> None:
    days = "from=2026-10-01&to=2999-01-01"
    page = visitors.visit(f"?type=recordsDetail&{days}&format=ndjson&columns=amount,id#/")
    expect(page.get_by_role("radio", name="Order details")).to_be_checked()
    expect(page.get_by_label("First day")).to_have_value("2026-10-01")
    expect(page.get_by_role("radio", name="JSON lines")).to_be_checked()
    page.get_by_text("2 of 10").click()
    columns = page.get_by_role("list").filter(has=page.get_by_role("checkbox", checked=True))
    expect(columns.get_by_role("listitem").first).to_contain_text("Amount")
    expect(page.get_by_text("is not over.")).to_be_visible()

    page.goto("/?type=statsMonthly&year=2026&month=3&format=parquet#/")
    expect(page.get_by_role("radio", name="Mar")).to_be_checked()
    page.get_by_text("Apr", exact=True).click()
    expect(page).to_have_url(re.compile("month=4"))
    page.goto("/")
    expect(page.get_by_role("radio", name="Apr")).to_be_checked()
    expect(page.get_by_role("radio", name="Parquet")).to_be_checked()


def test_i_find_an_export_by_its_status_and_by_words(site: Site, visitors: Visitors) -> None:
    site.run(site.service.exported, created_by=visitors.me)
    page = visitors.visit("#/exports")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(2)
    page.get_by_label("Status").select_option(label="Failed")
    expect(page.get_by_text("No export matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").first.click()
    expect(rows).to_have_count(2)
    search = page.get_by_label("Search exports")
    search.fill("no such words")
    expect(page.get_by_text("No export matches")).to_be_visible()
    search.fill("monthly done")
    expect(rows).to_have_count(2)


def test_i_watch_it_run_and_cancel_it(held: Site, visitors: Visitors) -> None:
    page = visitors.visit(HELD, viewport=PHONE)
    card = ask(page)
    expect(card.get_by_role("progressbar")).to_be_visible()
    expect(card).to_contain_text("Reading")
    assert_accessible(page)
    assert_fits(page)
    card.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("wrong report")
    assert_accessible(page)
    dialog.get_by_role("button", name="Cancel the export").click()
    expect(card).to_contain_text("wrong report")
    expect(card).to_contain_text("Cancelled")
    card.get_by_role("link", name="Export again").click()
    second = ask(page)
    expect(second.get_by_role("progressbar")).to_be_visible()
    held.let_go()
    expect(second).to_contain_text("Done")


def test_a_failed_one_says_why_and_can_be_tried_again(site: Site, visitors: Visitors) -> None:
    orders = site.service.database["orders"]
    found = site.run(orders.find_one, {})
    assert found is not None
    bad = {**found, "_id": "bad", "amount": "ten"}
    site.run(orders.insert_one, bad)
    day = found["createdAt"].date()
    page = visitors.visit(f"?type=recordsDetail&from={day}&to={day.replace(day=28)}&format=csv#/")
    card = ask(page)
    expect(card).to_contain_text("Failed")
    expect(card).to_contain_text("amount")
    expect(card).to_contain_text("E_MISMATCH")
    assert_accessible(page)
    site.run(orders.delete_one, {"_id": "bad"})
    card.get_by_role("button", name="Try again").click()
    expect(card).to_contain_text("Done")


def test_after_its_link_is_over_a_click_makes_a_new_one(site: Site, visitors: Visitors) -> None:
    task = site.run(site.service.exported, created_by=visitors.me)
    tasks = site.service.database[TASKS_COLLECTION]
    site.run(
        tasks.update_one,
        {"idempotencyKey": None, "createdBy": visitors.me},
        {"$set": {"expiresAt": 1}},
    )
    page = visitors.visit(f"#/exports/{task.id}")
    detail = page.locator("section.detail")
    expect(detail).to_contain_text("Download makes a new link.")
    with page.expect_download() as downloading:
        detail.get_by_role("link", name="Download").click()
    assert downloading.value.path().read_bytes()
    expect(detail).to_contain_text("Link valid for")


def test_others_see_nothing_of_it_and_an_operator_sees_it_with_its_workflow(
    site: Site, visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow("status of 404")
    task = site.run(site.service.exported, created_by=visitors.me)
    stranger = visitors.visit("#/exports", who="u2")
    expect(stranger.get_by_text("No exports yet")).to_be_visible()
    assert_accessible(stranger)
    stranger.goto(f"#/exports/{task.id}")
    expect(stranger.get_by_text("There is no such export, or it is not yours.")).to_be_visible()
    assert_accessible(stranger)

    operator = visitors.visit("#/exports", who=OPERATOR)
    operator.get_by_label("Person").fill(visitors.me)
    operator.get_by_label("Person").press("Enter")
    expect(operator.get_by_role("row")).to_have_count(2)
    expect(operator.get_by_role("row").last).to_contain_text(visitors.me)
    operator.goto(f"#/exports/{task.id}")
    link = operator.get_by_role("link", name="Temporal")
    runs = re.escape(f"{WEB_UI}/namespaces/default/workflows/export-{task.id}/")
    expect(link).to_have_attribute("href", re.compile(f"{runs}[0-9a-f-]+"))
    assert_accessible(operator)


def test_an_export_goes_on_while_the_api_is_killed_and_i_see_its_end(
    held: Site, visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow(GONE)
    page = visitors.visit(HELD)
    card = ask(page)
    expect(card).to_contain_text("Reading")
    held.kill_api()
    expect(page.get_by_text("No connection to the service.")).to_be_visible()
    assert_accessible(page)
    held.let_go()
    held.start_api()
    expect(card).to_contain_text("Done")
    expect(page.get_by_text("No connection to the service.")).to_be_hidden()


def test_when_my_session_is_over_i_sign_in_and_go_on_where_i_was(
    site: Site, visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow("status of 401")
    page = visitors.visit("?type=statsMonthly&year=2026#/")
    page.get_by_text("Mar", exact=True).click()
    expect(page.get_by_text("About ")).to_be_visible()
    page.context.clear_cookies()
    page.get_by_role("button", name="Export", exact=True).click()
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_contain_text("Your session has ended")
    assert_accessible(page)
    for _ in range(2):
        page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Token").fill(site.token(visitors.me))
    dialog.get_by_label("Token").press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("radio", name="Mar")).to_be_checked()
    expect(ask(page)).to_contain_text("March 2026")


def test_all_of_it_in_chinese_on_a_phone(visitors: Visitors) -> None:
    page = visitors.visit(MONTH, locale="zh-CN", viewport=PHONE)
    page.get_by_role("button", name="导出", exact=True).click()
    card = newest(page)
    expect(card).to_contain_text("2026年10月")
    expect(card).to_contain_text("已完成")
    expect(card.get_by_role("link", name="下载")).to_be_visible()
    assert_fits(page)
    assert_accessible(page)


def test_with_the_keyboard_alone_i_get_my_file(visitors: Visitors) -> None:
    page = visitors.visit("?type=statsMonthly&year=2026&month=9#/")

    def reach(what: Locator) -> None:
        for _ in range(60):
            if what.evaluate("(one) => one === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{what} is out of reach")

    reach(page.get_by_role("radio", name="Sept"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Oct")).to_be_checked()
    reach(page.get_by_role("button", name="Export", exact=True))
    page.keyboard.press("Enter")
    download = newest(page).get_by_role("link", name="Download")
    expect(download).to_be_visible()
    reach(download)
    with page.expect_download() as downloading:
        page.keyboard.press("Enter")
    assert downloading.value.suggested_filename.endswith("2026-10.csv")


def test_two_tabs_agree_by_one_stream(held: Site, visitors: Visitors) -> None:
    browser = visitors.browser(visitors.me)
    streams: list[str] = []
    browser.on(
        "request",
        lambda request: (
            streams.append(request.url) if request.url.endswith("/exports/events") else None
        ),
    )
    first, second = opened(browser, HELD), opened(browser, "#/exports")
    card = ask(first)
    line = second.get_by_role("row").nth(1)
    for shown in (card, line):
        expect(shown).to_contain_text("Reading")
    assert len(streams) == 1
    first.close()
    held.let_go()
    expect(line).to_contain_text("Done")
    assert len(streams) == 2, "another tab reads it now"
