# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`./run` installs the drivers of the broker and the ledger it is given, on a machine that has none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """`run` in a folder whose uv and tickrelay only say what they were asked."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / "run", tmp_path)
    shutil.copy(ROOT / ".ci" / "uv.sh", tmp_path / ".ci")
    program(tmp_path / "bin" / "uv", 'echo "uv $*"')
    program(tmp_path / ".venv" / "bin" / "tickrelay", 'echo "tickrelay $*"')
    return tmp_path


@pytest.mark.parametrize(
    ("options", "drivers"),
    [
        ((), ""),
        (("--for", "60", "--json"), ""),
        (("--broker", "amqp://guest:guest@localhost/"), " --extra rabbitmq"),
        (("--broker=amqps://localhost",), " --extra rabbitmq"),
        (("--broker", "kafka://a:9092,b:9092", "--json"), " --extra kafka"),
        (("--json", "--broker", "redis://localhost/0"), " --extra redis"),
        (("--broker", "rediss://localhost/0"), " --extra redis"),
        (("--ledger", "postgresql://localhost/ledger"), " --extra postgres"),
        (("--ledger", "mariadb://localhost/ledger"), " --extra mariadb"),
        (("--ledger=postgres://a/l", "--broker", "kafka://a:9092"), " --extra postgres --extra kafka"),
    ],
)
def test_what_is_named_gets_its_driver(clone: Path, options: tuple[str, ...], drivers: str) -> None:
    """Only who names a broker or a ledger gets its driver; every option goes on to `tickrelay up`."""
    path = f"{clone / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(clone / "run"), *options],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    synced, started = [line for line in done.stdout.splitlines() if "--version" not in line]
    assert f"uv sync --quiet --locked --no-dev --inexact --compile-bytecode{drivers}" == synced
    assert " ".join(["tickrelay up", *options]) == started
