# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What each process of a campaign did, a JSON object a line, each written by one `os.write`: a line is there or not.

Nothing of Tickrelay's is used to read it: the checker must not believe the code it judges.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class History:
    """
    For one process.

    Args:
        path: of its file.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)

    def write(self, kind: str, ids: list[str] | tuple[str, ...] = (), **more: object) -> None:
        """Something happened to these ids."""
        row = {"at": round(time.monotonic(), 4), "kind": kind, "ids": list(ids), **more}
        os.write(self._file, json.dumps(row).encode() + b"\n")


class Tail:
    """Reads on where it stopped; a line that isn't finished is left for the next time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def rows(self) -> Iterator[dict[str, Any]]:
        """What was written since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                yield json.loads(line)


def read(folder: Path, kind: str, files: str = "*.jsonl") -> list[str]:
    """All ids of one kind, as often as they were written, from the histories of a folder."""
    paths = sorted(folder.glob(files))
    return [one for path in paths for row in Tail(path).rows() if row["kind"] == kind for one in row["ids"]]
