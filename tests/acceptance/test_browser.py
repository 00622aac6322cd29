# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a person sees in a real browser."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def page(need):
    """A page of a real Chromium; a script error on it fails the test."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=need("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert [] == errors


@pytest.fixture
def address(system):
    """Of the pages."""
    return f"http://127.0.0.1:{system.port()}"


@pytest.fixture
def finished_run(system, eventually):
    """The id of a run of order_sync that has published and ended well."""

    def there_is_a_finished_run():
        runs = system.api("dags/order_sync/dagRuns?state=success&order_by=-run_after&limit=1")["dag_runs"]
        return runs[0]["dag_run_id"] if runs else None

    return eventually(there_is_a_finished_run, within=60, every=0.5)


def test_the_runs_of_order_sync_are_green(page, address, artifacts, finished_run):
    """Airflow's own pages show the runs of order_sync as successes."""
    page.goto(f"{address}/dags/order_sync/runs?state=success")

    page.get_by_text("order_sync").first.wait_for(timeout=30_000)
    page.get_by_text(re.compile("^Success$", re.IGNORECASE)).first.wait_for(timeout=30_000)
    page.screenshot(path=artifacts / "order_sync-runs.png")


def test_the_publishing_task_has_a_tab_with_its_messages(page, address, artifacts, finished_run):
    """The task's page has a tab "Messages" that shows, inside Airflow, each message and what became of it."""
    page.goto(f"{address}/dags/order_sync/runs/{quote(finished_run, safe='')}/tasks/publish")

    page.get_by_role("link", name="Messages").first.click(timeout=30_000)

    messages = page.frame_locator("iframe")
    messages.get_by_text("sync_order").first.wait_for(timeout=30_000)
    messages.locator(".state.done").first.wait_for(timeout=30_000)
    page.screenshot(path=artifacts / "publish-task.png")


def test_the_link_of_the_publishing_task_works(page, address, artifacts, finished_run, system):
    """The operator's link "Messages" leads to a page of its own with the same."""
    run = quote(finished_run, safe="")
    links = system.api(f"dags/order_sync/dagRuns/{run}/taskInstances/publish/links")["extra_links"]

    response = page.goto(address + links["Messages"])

    assert 200 == response.status
    page.locator(".state.done").first.wait_for(timeout=30_000)
    page.screenshot(path=artifacts / "messages.png")


def test_the_schedules_page(page, address, artifacts, system, eventually):
    """
    Under Browse there is a page of all schedules in words, inside Airflow; its buttons work there: a tick is left out,
    and restored.
    """
    eventually(lambda: system.api("dags?dag_id_pattern=daily_report")["total_entries"], within=60, every=0.5)
    page.goto(f"{address}/plugin/tickrelay-schedules")
    inside = page.frame_locator("iframe")
    row = inside.locator("tr", has_text="daily_report")
    row.get_by_text("At 06:00, Monday through Friday (Europe/Berlin)").wait_for(timeout=30_000)
    page.screenshot(path=artifacts / "schedules.png")

    row.get_by_label("Why daily_report is changed").fill("a holiday")
    row.get_by_role("button", name="Skip next").click()
    inside.get_by_text("daily_report leaves out its next tick.").wait_for(timeout=30_000)
    assert row.get_by_text("left out").is_visible()
    page.screenshot(path=artifacts / "schedules-skipped.png")

    row.get_by_role("button", name="Undo skip").click()
    inside.get_by_text("daily_report skips no tick ahead.").wait_for(timeout=30_000)
    row.get_by_role("button", name="Pause").click()
    row.get_by_text("paused", exact=True).wait_for(timeout=30_000)
    page.screenshot(path=artifacts / "schedules-paused.png")
    assert system.api("dags/daily_report")["is_paused"]

    row.get_by_role("button", name="Resume").click()
    inside.get_by_text("daily_report goes on.").wait_for(timeout=30_000)
    assert not system.api("dags/daily_report")["is_paused"]


def test_the_way_to_the_schedules(page, address, artifacts, system):
    """Airflow's own menu Browse leads there."""
    page.goto(f"{address}/")
    page.get_by_role("button", name="Browse").click(timeout=30_000)
    page.get_by_role("menuitem", name="Schedules").click(timeout=30_000)

    page.frame_locator("iframe").get_by_role("heading", name="Schedules").wait_for(timeout=30_000)
