# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The laboratory of the integration tests, for consumers that are killed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parents[2]


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


for _name, _path in (
    ("consumer_lab", "integration/consumer/consumer_lab.py"),
    ("checker", "chaos/checker.py"),
):
    if _name not in sys.modules:
        _load(_name, TESTS / _path)

from consumer_lab import Lab, Process  # noqa: E402 - loaded above


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A queue and a ledger of the test's own."""
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def _starter() -> Iterator[None]:
    yield
    Process.close_starter()
