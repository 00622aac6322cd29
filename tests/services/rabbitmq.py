# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A private RabbitMQ node, with Debian's programs: its own folder, ports, cookie and port mapper."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.certificates import Authority, Certificate
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
_TLS_CONFIG = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {server.certificate}
ssl_options.keyfile = {server.key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {strict}
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
"""
_CLUSTER_CONFIG = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
cluster_partition_handling = pause_minority
net_ticktime = 8
"""


class RabbitNode:
    """
    One node with the management plugin.

    Args:
        folder: takes its configuration, data and log.

    Attributes:
        name: what RabbitMQ calls it.
    """

    def __init__(self, folder: Path) -> None:
        need("rabbitmqctl")
        need("epmd")
        self._scripts = next(iter(sorted(LIBRARY.glob("rabbitmq_server-*/sbin"))), LIBRARY)
        self.port, self.http_port, distribution, self._mapper_port = free_ports(4)
        (folder / "home").mkdir(parents=True)
        self._config = folder / "rabbitmq.conf"
        self._config.write_text(_CONFIG.format(amqp=self.port, http=self.http_port))
        (folder / "plugins").write_text("[rabbitmq_management,rabbitmq_auth_mechanism_ssl].")
        self.name = f"t{self.port}@localhost"
        self._env = self._environment(folder, distribution)
        self._mapper = Server(
            ["epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port)],
            lambda: answers(self._mapper_port),
            folder / "epmd.log",
        )
        self._node = self._server()

    def join(self, first: RabbitNode) -> None:
        """Share another's port mapper and cookie, before both are started."""
        self._mapper, self._mapper_port = first._mapper, first._mapper_port
        for name in ("HOME", "ERL_EPMD_PORT"):
            self._env[name] = first._env[name]
        self._node = self._server()

    def _server(self) -> Server:
        """Run as RUNNING_UNDER_SYSTEMD, the script becomes the broker: signals to our child reach it."""
        return Server(self._command(), self._is_up, self._config.with_name("node.log"), env=self._env)

    def _command(self) -> list[str]:
        return [str(self._scripts / "rabbitmq-server")]

    def _control(self, *arguments: str) -> list[str]:
        return [str(self._scripts / "rabbitmqctl"), *arguments]

    def configure(self, text: str) -> None:
        """More lines for its configuration, before it is started."""
        with self._config.open("a") as config:
            config.write(text)

    def use_tls(self, authority: Authority, server: Certificate, *, strict: bool = True) -> int:
        """
        Listen with TLS too, once it is started; the port.

        Args:
            authority: of the clients' certificates; their common name may log in with EXTERNAL.
            strict: nobody comes in without a certificate.
        """
        (port,) = free_ports(1)
        words = {"port": port, "authority": authority.file, "server": server, "strict": str(strict).lower()}
        self.configure(_TLS_CONFIG.format(**words))
        return port

    def _environment(self, folder: Path, distribution: int) -> dict[str, str]:
        """The whole of it, of the node and of who controls it."""
        quiet = "+sbwt none +S 2:2"
        return {
            **os.environ,
            "HOME": str(folder / "home"),
            "RABBITMQ_NODENAME": self.name,
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
        command = self._control("-n", self.name, *arguments)
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            pytest.fail(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_user(self, user: str, rights: Sequence[str], *, tags: str = "") -> None:
        """A user whose password is `secret`, with patterns to configure, to write and to read."""
        self.control("add_user", user, "secret")
        self.control("set_permissions", user, *rights)
        if tags:
            self.control("set_user_tags", user, tags)


@contextmanager
def running_node(folder: Path, kind: type[RabbitNode] = RabbitNode) -> Iterator[RabbitNode]:
    """A node for as long as the block lasts."""
    node = kind(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()


@contextmanager
def running_cluster(folder: Path, size: int = 3) -> Iterator[list[RabbitNode]]:
    """Nodes of one cluster, which stops serving where it has no majority."""
    nodes = [RabbitNode(folder / f"node{number}") for number in range(size)]
    names = [f"cluster_formation.classic_config.nodes.{n} = {node.name}" for n, node in enumerate(nodes, 1)]
    for node in nodes:
        node.join(nodes[0])
        node.configure("\n".join([_CLUSTER_CONFIG, *names, ""]))
    cookie = folder / "node0" / "home" / ".erlang.cookie"
    cookie.write_text("TICKRELAYTESTS")
    cookie.chmod(0o400)
    try:
        nodes[0].start()  # alone, or each might begin a cluster of its own
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(lambda node: node._node.start(within=100), nodes[1:]))
        yield nodes
    finally:
        for node in nodes:
            node.stop()
