# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What all tests share. Folders have conftests of their own for their services."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.services.airflow import own_home
from tests.services.process import free_ports
from tests.services.waiting import wait_until

own_home()  # before any test's module imports Airflow, which makes itself at home where it is imported first

T = TypeVar("T")
ROOT = Path(__file__).parents[1]


_ROOMS = {
    "tests/acceptance/test_browser": "system",
    "tests/acceptance/test_schedule_command": "system",
    "tests/acceptance/test_up": "system",
    "tests/chaos/airflow/": "chaos/airflow",
    "tests/integration/airflow/": "integration/airflow",
}
"""Which files share a running system, or a whole Airflow, by how their paths begin. Each other file is by itself."""
_LONG = ("acceptance", "chaos")
"""What lasts longest begins first, lest one worker be left alone with it in the end."""


class OneRoomEach(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Gives a worker all tests of a file, or all that share an expensive fixture, at once."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return next((room for start, room in _ROOMS.items() if path.startswith(start)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneRoomEach:
    """For several workers (`-n`). Groups by mark would do, but pytest-xdist 3.8 can't hand them to pytest 9.2."""
    return OneRoomEach(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker, see `_LONG`."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.relative_to(ROOT).parts[1] not in _LONG)


@pytest.fixture(scope="session")
def project() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots and logs of tests go; never committed."""
    folder = ROOT / "test-artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def free_port() -> int:
    """A port of the loopback interface nobody listens on."""
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """
    `need("chromium")` is the path of a program. Without it the test is skipped, but on CI it fails: a test that nobody
    runs proves nothing.
    """

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            reason = f"{program} is not installed; ./test says how to get it"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        return path

    return find


@pytest.fixture(scope="session")
def eventually() -> Callable[..., object]:
    """`eventually(condition, within=20)` waits until a condition is truthy and returns its value, else fails."""

    def wait(condition: Callable[[], T], *, within: float = 20.0, every: float = 0.1) -> T:
        words = (condition.__doc__ or condition.__name__).strip()
        return wait_until(
            condition, lambda last: f"{words}; last answer: {last!r}", within=within, every=every
        )

    return wait
