# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The handler that everybody has: one byte appended to a file. And a contestant's process around it."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

_EVERY = 0.02
_PATIENCE = 240.0


class Effect:
    """
    Args:
        path: the file; several processes may append to it.
        number: bytes at which all is done.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.number = number
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._count, self._first, self._last = 0, 0.0, 0.0
        self._counting = threading.Lock()

    def __call__(self) -> None:
        """Append a byte."""
        os.write(self._file, b".")
        with self._counting:
            self._last = time.time()
            self._first = self._first or self._last
            self._count += 1

    def wait(self) -> None:
        """Until all is done, or patience is at its end."""
        deadline = time.monotonic() + _PATIENCE
        while os.fstat(self._file).st_size < self.number and time.monotonic() < deadline:
            time.sleep(_EVERY)

    def span(self) -> dict[str, float]:
        """How many, and when the first and the last."""
        return {"count": self._count, "first": self._first, "last": self._last}


def main(function: str, path: str, number: int, urls: list[str]) -> None:
    """Run `module:name` of this package, and print the span once all is done; the process ends there and then."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints must not look like an answer
    logging.disable(logging.ERROR)
    effect = Effect(Path(path), number)

    def report() -> None:
        effect.wait()
        answers.write(json.dumps(effect.span()) + "\n")
        answers.flush()
        os._exit(0)  # peers take seconds to stop

    threading.Thread(target=report, daemon=True).start()
    module, _, name = function.partition(":")
    getattr(importlib.import_module(f"bench.effects.{module}"), name)(effect, *urls)
    threading.Event().wait(_PATIENCE)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
