"""Recurring exports and messages: what goes on without me, and how I am told of it."""

import re

from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, Complaints, Visitors, assert_accessible, assert_fits
from tests.support.site import Site
from tests.support.webhook_receiver import open_receiver


def in_dialog(page: Page, button: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_from_a_finished_export_i_get_one_every_month_until_i_delete_it(
    site: Site, visitors: Visitors
) -> None:
    task = site.run(site.service.exported, created_by=visitors.me)
    page = visitors.visit(f"#/exports/{task.id}")
    page.get_by_role("link", name="Every month like this").click()
    dialog = page.get_by_role("dialog", name="New recurring export")
    expect(dialog.get_by_label("Period of each export")).to_have_value("previous month")
    assert_accessible(page)
    page.set_viewport_size(PHONE)
    assert_fits(page)
    in_dialog(page, "Create")
    expect(page.get_by_text("Created. The next one:")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Monthly statistics")
    assert_fits(page)
    assert_accessible(page)

    page.get_by_role("button", name="Make one now").click()
    expect(page.get_by_role("article").first).to_contain_text("Done")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("holidays")
    assert_accessible(page)
    in_dialog(page, "Pause")
    expect(page.get_by_text("holidays").first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.goto("#/recurring")
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)
    assert_fits(page)
    page.get_by_role("main").get_by_role("listitem").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.get_by_role("button", name="Delete").click()
    in_dialog(page, "Delete")
    expect(page.get_by_text("No recurring exports yet")).to_be_visible()
    assert_accessible(page)


def test_my_program_is_told_by_a_webhook_whose_secret_i_see_once(
    site: Site, visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow("status of 422")
    with site.during(open_receiver()) as receiver:
        page = visitors.visit("#/messages")
        assert_accessible(page)
        page.get_by_role("button", name="Add an address").click()
        dialog = page.get_by_role("dialog")
        address = dialog.get_by_label("Address")
        address.fill("https://nobody.invalid/hook")
        dialog.get_by_role("button", name="Add an address").click()
        expect(address).to_have_attribute("aria-invalid", "true")
        assert_accessible(page)
        address.fill(receiver.url)
        dialog.get_by_role("button", name="Add an address").click()
        secret = page.get_by_role("dialog").get_by_label("Secret")
        expect(secret).to_have_value(re.compile("^whsec_"))
        first = secret.input_value()
        for _ in range(2):
            page.keyboard.press("Escape")
        expect(secret).to_have_value(first)
        assert_accessible(page)
        in_dialog(page, "I have copied it")
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_text("The receiver has the message.")).to_be_visible()
        assert receiver.requests[-1].verified(first)
        page.get_by_role("button", name="New secret").click()
        page.get_by_role("dialog").get_by_role("button", name="Make a new secret").click()
        second = page.get_by_role("dialog").get_by_label("Secret")
        expect(second).to_have_value(re.compile("^whsec_"))
        assert second.input_value() != first
        in_dialog(page, "I have copied it")
        page.set_viewport_size(PHONE)
        assert_fits(page)
        page.get_by_role("button", name="Remove").click()
        in_dialog(page, "Remove")
        expect(page.get_by_text("No address yet")).to_be_visible()
        assert first not in page.content()
