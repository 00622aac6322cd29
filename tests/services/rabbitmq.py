# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A private RabbitMQ node, with Debian's programs: its own folder, ports, cookie and port mapper."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.services.process import Server, answers, free_ports, need

LIBRARY = Path("/usr/lib/rabbitmq/lib")
PASSWORD = "guest"

_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {http}
management_agent.disable_metrics_collector = false
collect_statistics_interval = 1000
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
log.console = true
log.file = false
"""


class RabbitNode:
    """
    One node with the management plugin.

    Args:
        folder: takes its configuration, data and log.
    """

    def __init__(self, folder: Path) -> None:
        need("rabbitmqctl")
        need("epmd")
        self._scripts = next(iter(sorted(LIBRARY.glob("rabbitmq_server-*/sbin"))), LIBRARY)
        self.port, self.http_port, distribution, self._mapper_port = free_ports(4)
        (folder / "home").mkdir(parents=True)
        (folder / "rabbitmq.conf").write_text(_CONFIG.format(amqp=self.port, http=self.http_port))
        (folder / "plugins").write_text("[rabbitmq_management].")
        self._name = f"t{self.port}@localhost"
        self._env = self._environment(folder, distribution)
        log = folder / "node.log"
        self._mapper = Server(
            ["epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port)],
            lambda: answers(self._mapper_port),
            folder / "epmd.log",
        )
        # Run as RUNNING_UNDER_SYSTEMD, the script becomes the broker: signals to our child reach it.
        self._node = Server([str(self._scripts / "rabbitmq-server")], self._is_up, log, env=self._env)

    def _environment(self, folder: Path, distribution: int) -> dict[str, str]:
        quiet = "+sbwt none +S 2:2"
        return {
            "HOME": str(folder / "home"),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {quiet}",
        }

    def _is_up(self) -> bool:
        return answers(self.port) and answers(self.http_port)

    def url(
        self, vhost: str = "%2F", *, user: str = "guest", password: str = PASSWORD, options: str = ""
    ) -> str:
        """Where a client connects to."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost}{options}"

    @property
    def management(self) -> str:
        """The management API's address."""
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        """Start it, and return when clients can connect."""
        self._mapper.start()
        self._node.start()

    def kill(self) -> None:
        """SIGKILL to the broker; its folder stays."""
        self._node.kill()

    def start_again(self) -> None:
        """Start it on what it had written before."""
        self._node.start()

    def signal(self, number: int) -> None:
        """A signal to the broker itself."""
        self._node.signal(number)

    def stop(self) -> None:
        """End it and its port mapper."""
        self._node.kill()
        self._mapper.kill()

    def control(self, *arguments: str) -> str:
        """`rabbitmqctl`; AssertionError with its words if it fails."""
        command = [str(self._scripts / "rabbitmqctl"), "-n", self._name, *arguments]
        done = subprocess.run(
            command, env={**os.environ, **self._env}, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            pytest.fail(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def running_node(folder: Path) -> Iterator[RabbitNode]:
    """A node for as long as the block lasts."""
    node = RabbitNode(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()
