# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The reference of commands says what the commands say.

`TICKRELAY_UPDATE_DOCS=1 pytest tests/unit/commands/test_docs.py` writes the help texts into it anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tickrelay_consumer.commands import _plugins
from tickrelay_consumer.settings import DEFAULT_BROKER, DEFAULT_LEDGER, Settings

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
BLOCK = re.compile(r"(?<=<!-- help: )([a-z -]+) -->\n```text\n(.*?)```", re.DOTALL)
UPDATE = bool(os.environ.get("TICKRELAY_UPDATE_DOCS"))


def _ours() -> list[str]:
    """Every command of this distribution, and `schedule` of the other one, with the members of their groups."""
    found: list[str] = []
    for name, plugin in _plugins.discover().items():
        if plugin.entry.module.startswith("tickrelay_consumer.") or name == "schedule":
            command = get_command(plugin.entry.load())
            found += [name, *(f"{name} {inner}" for inner in getattr(command, "commands", ()))]
    return found


def test_help_texts_are_in_step(tick: Any) -> None:
    """Each help text in the reference is, letter by letter, what `--help` prints."""
    text = REFERENCE.read_text()
    current = BLOCK.sub(lambda one: f"{one[1]} -->\n```text\n{tick(*one[1].split(), '--help').out}```", text)
    if UPDATE:
        REFERENCE.write_text(current)

    assert current == REFERENCE.read_text()


def test_every_command_is_described() -> None:
    """No command of ours is missing from the reference, and it describes none that isn't there."""
    assert sorted(_ours()) == sorted(match[1] for match in BLOCK.finditer(REFERENCE.read_text()))


def test_other_commands_are_named() -> None:
    """Commands that other distributions of this repository add are named too."""
    text = REFERENCE.read_text()

    assert [] == [name for name in _plugins.discover() if f"tickrelay {name}" not in text]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    """Each variable is in the reference's table, and so are the defaults of the two URLs."""
    text = REFERENCE.read_text()

    assert f"`TICKRELAY_{name.upper()}`" in text
    assert f"`{DEFAULT_BROKER}`" in text
    assert f"`{DEFAULT_LEDGER}`" in text
