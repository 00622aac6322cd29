# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Free ports of the loopback interface."""

from __future__ import annotations

import socket

from tickrelay_messaging.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
WEB = 8080
"""Where people look for Airflow first."""


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def web_port(wanted: int | None) -> int:
    """
    The port for the web pages: the one wanted, else 8080, else any free one.

    Raises:
        ConfigurationError: the wanted one is taken.
    """
    if wanted is None:
        return WEB if is_free(WEB) else free_port()
    if not is_free(wanted):
        raise ConfigurationError(f"port {wanted} is taken by another program; choose another with --port")
    return wanted
