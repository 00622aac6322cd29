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
