# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Who sits at this terminal, for the audit trail."""

from __future__ import annotations

import getpass
import os
import socket


def who() -> str:
    """The user and the host."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        name = f"uid {os.getuid()}"
    return f"cli:{name}@{socket.gethostname()}"
