# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Why a broker hung up during TLS, asked once more."""

from __future__ import annotations

import socket
import ssl

from pika import ConnectionParameters

SILENCE = 3.0
"""Longest time in seconds to listen."""


def tls_alert(node: ConnectionParameters) -> ssl.SSLError | None:
    """
    What a broker has against our certificate, or None.

    Since TLS 1.3 it reads a client's certificate when that client speaks already, and what it says then may be lost
    with the connection; but not to a client that keeps silent and listens.
    """
    tls = node.ssl_options
    if tls is None:
        return None
    try:
        with (
            socket.create_connection((node.host, node.port), SILENCE) as plain,
            tls.context.wrap_socket(plain, server_hostname=tls.server_hostname) as silent,
        ):
            silent.recv(1)
    except ssl.SSLError as error:
        return error
    except OSError:
        return None
    return None
