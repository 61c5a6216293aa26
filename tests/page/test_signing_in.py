"""Who is signed in: by a link, by a token, not any more, and not at all."""

from playwright.sync_api import expect

from tests.support.browsing import Complaints, Visitors, assert_accessible, opened
from tests.support.site import OPERATOR, Site


def test_a_link_with_a_token_signs_me_in_and_the_browser_keeps_no_token(
    site: Site, visitors: Visitors
) -> None:
    page = visitors.new_browser().new_page()
    page.goto(f"/#token={site.token(visitors.me)}")
    expect(page.get_by_title(f"Signed in as {visitors.me}")).to_be_visible()
    assert "exp_" not in page.url
    kept = page.evaluate("[document.cookie, {...localStorage}, {...sessionStorage}, history.state]")
    assert "exp_" not in str(kept)
    page.reload()
    expect(page.get_by_title(f"Signed in as {visitors.me}")).to_be_visible()


def test_a_wrong_token_is_refused_and_a_right_one_lets_me_in_until_i_sign_out(
    site: Site, visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow("status of 401")
    page = opened(visitors.new_browser())
    assert_accessible(page)
    token = page.get_by_label("Token")
    token.fill("exp_nobody")
    token.press("Enter")
    expect(page.get_by_text("This token is not valid here")).to_be_visible()
    expect(token).to_have_attribute("aria-invalid", "true")
    assert_accessible(page)
    token.fill(site.token(visitors.me))
    token.press("Enter")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    page.goto("/#token=exp_nobody")
    expect(page.get_by_text("This token is not valid here")).to_be_visible()
    expect(page.get_by_label("Token")).to_be_visible()


def test_who_signs_in_in_one_tab_is_signed_in_in_all_and_nobody_sees_another_ones_page(
    site: Site, visitors: Visitors, complaints: Complaints
) -> None:
    complaints.allow("status of 401")
    browser = visitors.browser(visitors.me)
    first, second = browser.new_page(), browser.new_page()
    for page in (first, second):
        page.goto("/")
        expect(page.get_by_title(f"Signed in as {visitors.me}")).to_be_visible()
    link = f"/#token={site.token('u2')}"
    second.goto(link)
    second.get_by_role("button", name=f"Stay signed in as {visitors.me}").click()
    expect(second.get_by_title(f"Signed in as {visitors.me}")).to_be_visible()
    second.goto(link)
    second.get_by_role("button", name="Sign in as u2").click()
    for page in (first, second):
        expect(page.get_by_title("Signed in as u2")).to_be_visible()
    second.get_by_role("button", name="Sign out").click()
    expect(second.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(first.get_by_label("Token")).to_be_visible()


def test_an_operator_is_told_that_they_are_one(visitors: Visitors) -> None:
    page = visitors.visit(who=OPERATOR)
    expect(page.get_by_title("Signed in as operator")).to_be_visible()
