# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The guides about testing, scaling and guarantees: their snippets run, and they promise nothing that can't be."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tickrelay_consumer import middlewares
from tickrelay_consumer.testing import Kit

ROOT = Path(__file__).parents[3]
GUIDES = {
    name: (ROOT / "docs" / "guide" / f"{name}.md").read_text()
    for name in ("testing", "scaling", "guarantees")
}
SNIPPETS = [
    (name, number, snippet)
    for name, prose in GUIDES.items()
    for number, snippet in enumerate(re.findall(r"^```python\n(.*?)^```", prose, re.DOTALL | re.MULTILINE))
]


@pytest.mark.parametrize(
    "snippet", [text for _, _, text in SNIPPETS], ids=[f"{name}-{number}" for name, number, _ in SNIPPETS]
)
def test_a_snippet_runs(snippet: str, tmp_path: Path) -> None:
    """As it stands: its tests pass, and a consumer without tests carries out a message."""
    (tmp_path / "snippet.py").write_text(snippet)
    found = runpy.run_path(str(tmp_path / "snippet.py"))
    tests = [value for name, value in found.items() if name.startswith("test_")]
    for test in tests:
        test()
    if not tests:
        (handler,) = found["consumer"].handlers
        with Kit(found["consumer"]) as kit:
            kit.publish(handler.queue, "a few words")
            assert 1 == kit.run()


def test_the_newcomers_test_fits_in_ten_lines() -> None:
    """From `def` to the last assertion."""
    first = re.search(r"^def test_.*?(?=^```)", GUIDES["testing"], re.DOTALL | re.MULTILINE)
    assert first
    assert len(first[0].splitlines()) <= 10


def test_the_guides_promise_nothing_impossible() -> None:
    """Delivery is at least once; nobody delivers exactly once."""
    for name, prose in GUIDES.items():
        assert not re.search(r"exactly[- ]once", prose, re.IGNORECASE), name
    assert "Delivery is at least once" in GUIDES["guarantees"]


def test_links_lead_somewhere() -> None:
    """To files of the repository."""
    for prose in GUIDES.values():
        for target in re.findall(r"\]\(([^)#]+)", prose):
            assert (ROOT / "docs" / "guide" / target).exists(), target


def test_every_middleware_is_named() -> None:
    """The guide lists what is shipped."""
    shipped = {name for name in middlewares.__all__ if name[0].isupper()} - {
        "InvalidData",
        "Middleware",
        "Next",
    }
    assert [] == [name for name in sorted(shipped) if f"`{name}`" not in GUIDES["scaling"]]
