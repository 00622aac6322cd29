# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Where the log goes: standard error, since standard output belongs to a command's answer."""

from __future__ import annotations

import sys
from typing import Any, TextIO

import structlog


def quiet_logs() -> None:
    """Only warnings, unless whoever runs us has decided otherwise (Airflow does)."""
    if not structlog.is_configured():
        configure_logs("warning", "auto")


def configure_logs(level: str, style: str, *, to_stdout: bool = False) -> None:
    """
    Log lines for people or machines.

    Args:
        level: the least that is logged.
        style: `console`, `json`, or `auto`: console at a terminal, else JSON.
        to_stdout: for a command whose answer is its log.
    """

    def stream() -> TextIO:
        # Looked up at each line, as tests and daemons exchange the streams.
        return sys.stdout if to_stdout else sys.stderr

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(style, is_terminal=stream().isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(stream()),
        cache_logger_on_first_use=False,
    )


def _renderers(style: str, *, is_terminal: bool) -> list[Any]:
    if style == "json" or (style == "auto" and not is_terminal):
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=is_terminal)]
