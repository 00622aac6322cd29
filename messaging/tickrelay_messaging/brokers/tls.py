# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Why a server hung up during TLS, asked once more."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable


def tls_alert(connect: Callable[[], socket.socket], patience: float) -> ssl.SSLError | None:
    """
    What a server has against our certificate, or None.

    Since TLS 1.3 it reads a client's certificate when that client speaks already, and what it says then may be lost
    with the connection; but not to a client that keeps silent and listens.

    Args:
        connect: shakes hands, and says nothing more.
        patience: longest time in seconds to listen.
    """
    try:
        with connect() as silent:
            silent.settimeout(patience)
            silent.recv(1)
    except ssl.SSLError as error:
        return error
    except OSError:
        return None
    return None
