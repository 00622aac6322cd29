# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The `tickrelay` command in an empty directory, with nothing set from outside."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tickrelay_consumer.commands import run


@dataclass(frozen=True)
class Answer:
    """What a command line came back with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document it must be."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("TICKRELAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def schedule() -> Callable[..., Answer]:
    """Runs `tickrelay schedule ARGS...` as its console script does."""

    def call(*args: str) -> Answer:
        with CliRunner().isolation() as (out, err, _):
            code = run(["schedule", *args])
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            return Answer(code, out.getvalue().decode(), err.getvalue().decode())

    return call
