# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The real toxiproxy, built once from the Go module proxy into `~/.cache/tickrelay-tests` and driven over HTTP.

For the long form only. It needs Go 1.23 and takes half a minute to build, and Debian 12's Go is 1.19, so the tests of
every CI run use `tests.services.proxy`, which needs nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from tests.services.process import Server, answers, free_ports

VERSION = "v2.12.0"
_CACHE = Path.home() / ".cache" / "tickrelay-tests" / f"toxiproxy-{VERSION}"
_GO = ("go", "/usr/local/go/bin/go")
_SECONDS = 10.0


def binary() -> Path:
    """The server's program, built if it isn't there yet."""
    program = _CACHE / "server"
    if not program.exists():
        go = next((found for one in _GO if (found := shutil.which(one))), None)
        if go is None:
            pytest.fail(
                "toxiproxy needs Go 1.23 or later to be built; install it, or use tests.services.proxy"
            )
        built = _CACHE / uuid4().hex
        built.mkdir(parents=True)
        command = [go, "install", f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"]
        done = subprocess.run(
            command, env={**os.environ, "GOBIN": str(built)}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.fail(f"toxiproxy could not be built:\n{done.stderr[-2000:]}")
        (built / "server").replace(program)
        built.rmdir()
    return program


class Toxiproxy:
    """
    One server; each `front` is a port that leads to another.

    Args:
        folder: takes its log.
    """

    def __init__(self, folder: Path) -> None:
        (self._port,) = free_ports(1)
        command = [str(binary()), "-host", "127.0.0.1", "-port", str(self._port)]
        self.server = Server(command, lambda: answers(self._port), folder / "toxiproxy.log")

    def front(self, name: str, upstream: int) -> int:
        """A port in front of another."""
        (port,) = free_ports(1)
        places = {"listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{upstream}"}
        self._post("proxies", {"name": name, "enabled": True, **places})
        return port

    def toxic(self, name: str, kind: str, *, stream: str = "downstream", **attributes: int) -> None:
        """Something bad: `toxic("orders", "latency", latency=100)`, `timeout`, `reset_peer`, `slicer`..."""
        self._post(f"proxies/{name}/toxics", {"type": kind, "stream": stream, "attributes": attributes})

    def reset(self) -> None:
        """Every proxy is up, and carries without harm."""
        self._post("reset", {})

    def _post(self, path: str, body: dict[str, object]) -> None:
        url = f"http://127.0.0.1:{self._port}/{path}"
        requests.post(url, json=body, timeout=_SECONDS).raise_for_status()


@contextmanager
def running_toxiproxy(folder: Path) -> Iterator[Toxiproxy]:
    """One for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    toxiproxy = Toxiproxy(folder)
    try:
        toxiproxy.server.start(within=20)
        yield toxiproxy
    finally:
        toxiproxy.server.kill()
