# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The one rule for names of queues and groups, narrow enough for every broker and for folder names."""

from __future__ import annotations

import re

from tickrelay_messaging.errors import ConfigurationError

MAX_NAME = 200
"""Longest name in characters."""

_ALLOWED = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


def check_name(name: object, what: str = "queue") -> str:
    """
    The name itself, if every broker can carry it.

    Args:
        name: ASCII letters, digits, `.`, `_` and `-`; at most 200 characters; neither `.` nor `..`.
        what: what it names, for the error's text.

    Raises:
        ConfigurationError: it isn't such a name.
    """
    if (
        isinstance(name, str)
        and len(name) <= MAX_NAME
        and _ALLOWED.fullmatch(name)
        and name not in (".", "..")
    ):
        return name
    raise ConfigurationError(
        f"{what} name {str(name)[:250]!r} isn't allowed: "
        f"use 1 to {MAX_NAME} ASCII letters, digits, '.', '_' and '-'"
    )


def check_replay_group(name: object) -> str:
    """
    The name of a temporary group: one or more `~` between the letters an ordinary group may have.

    Raises:
        ConfigurationError: it isn't such a name.
    """
    parts = name.split("~") if isinstance(name, str) else [""]
    if isinstance(name, str) and len(parts) > 1 and len(name) <= MAX_NAME:
        return "~".join(check_name(part, "group") for part in parts)
    raise ConfigurationError(
        f"{str(name)[:250]!r} is no name of a temporary group: write <group>~<name>, for example default~r1"
    )
