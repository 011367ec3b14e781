"""The view Alerts: its empty state, the form of a receiver, a test of it, and the log."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.test_looks import violations


def test_a_receiver_is_added_tested_and_removed(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce").open("alerts")
    page, dialog = visitor.page, visitor.dialog
    expect(page.get_by_role("heading", name="No receivers yet")).to_be_visible()
    visitor.button("Add receiver").first.click()
    dialog.get_by_label("Name").fill("ops")
    dialog.get_by_label("Type").select_option("json")
    dialog.get_by_label("Entry with the URL").fill("https://hooks.example.com/token")
    visitor.button("Save", dialog).click()
    expect(dialog.get_by_role("alert")).to_contain_text("not the secret itself")
    assert violations(page) == {}
    visitor.console_errors.clear()  # the browser reports the 400
    dialog.get_by_label("Entry with the URL").fill("OPS_ALERTS_URL")
    dialog.get_by_label("Quota").uncheck()
    visitor.button("Save", dialog).click()
    row = page.get_by_role("table", name="Receivers of alerts").get_by_role("row").filter(has_text="ops")
    expect(row).to_contain_text("not set")
    expect(row).not_to_contain_text("Quota")
    visitor.button("Test ops").click()
    logged = page.get_by_role("table", name="Alerts, newest first").get_by_role("row").nth(1)
    expect(logged).to_contain_text("This is a test of the receiver ops.")
    expect(logged).to_contain_text("OPS_ALERTS_URL is not set in the router's secret")
    assert violations(page) == {}
    visitor.button("Send to ops again").click()
    expect(page.get_by_role("table", name="Alerts, newest first").get_by_role("row")).to_have_count(3)
    visitor.button("Remove ops").click()
    visitor.button("Remove", dialog).click()
    expect(page.get_by_role("heading", name="No receivers yet")).to_be_visible()
