# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A contestant's process: it carries out one function again and again, as told on its standard input.

So connections stay open from round to round, and nobody pays for another's heap, threads or imports.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
import time
from typing import Any


class Worker:
    """
    Args:
        function: `module:name` in this package; called with `url` and a number, it returns seconds.
        url: of the broker.
    """

    def __init__(self, function: str, url: str) -> None:
        self.function = function
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.brokers.worker", function, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([".", *_more()])},
        )

    def call(self, number: int) -> float:
        """
        The seconds it took for so many messages.

        Raises:
            RuntimeError: it died; what it had to say stands on stderr.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{number}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # said below
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.function} ended with {self._process.wait()}")
        return float(json.loads(answer))

    def close(self) -> None:
        """End it; it has nothing to tidy up that the server's end wouldn't."""
        self._process.kill()
        self._process.communicate()


def _more() -> list[str]:
    return [path] if (path := os.environ.get("PYTHONPATH")) else []


class Clock:
    """From the first batch on: joining a group, and what is fetched ahead meanwhile, isn't counted."""

    def __init__(self) -> None:
        self.count = self._first = 0
        self._began = 0.0

    def add(self, count: int) -> int:
        """So many more have been received; returns how many so far."""
        if not self._began:
            self._began, self._first = time.perf_counter(), count
        self.count += count
        return self.count

    def seconds(self) -> float:
        """For all of them, at the pace of those behind the first batch."""
        return (time.perf_counter() - self._began) * self.count / max(1, self.count - self._first)


def main(function: str, url: str) -> None:
    """Read numbers, write seconds."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints must not look like an answer
    logging.disable(logging.ERROR)
    module, _, name = function.partition(":")
    work: Any = getattr(importlib.import_module(f"bench.brokers.{module}"), name)
    for line in sys.stdin:
        answers.write(json.dumps(work(url, int(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
