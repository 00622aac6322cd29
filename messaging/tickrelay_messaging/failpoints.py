# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Named places in the code where a test may let the process die, stop or fail.

Armed by the environment, `TICKRELAY_FAILPOINTS="consumer.after_effect=kill@3;publish.after_confirm=raise"`: an action
and the hit it happens at (the first by default; `@*` is every one). Actions: `kill` (SIGKILL), `stop` (SIGSTOP),
`exit`, `raise` (`FailpointError`), `hang` (until the process ends). Unarmed, a failpoint costs one look at a global.

Every name is in `NAMES`, so that a campaign can visit them all and notice one it never reached.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field

from tickrelay_messaging.errors import ConfigurationError

VARIABLE = "TICKRELAY_FAILPOINTS"

NAMES = (
    "publish.before_send",
    "publish.after_confirm",
    "consumer.after_receive",
    "consumer.after_claim",
    "consumer.before_handler",
    "consumer.after_effect",
    "consumer.before_settle",
    "consumer.after_settle",
    "consumer.after_acknowledge",
    "consumer.after_park",
    "consumer.after_claim_due",
    "consumer.transaction.before_commit",
    "consumer.transaction.after_commit",
    "consumer.draining",
)

_ACTIONS = ("kill", "stop", "exit", "raise", "hang")


class FailpointError(RuntimeError):
    """What an armed failpoint with the action `raise` raises."""


@dataclass(slots=True)
class _Armed:
    action: str
    at: int | None
    hits: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def failpoint(name: str) -> None:
    """A place where a test may strike; does nothing unless armed."""
    if _armed is not None:
        _hit(name)


def arm(text: str) -> None:
    """
    Arm failpoints by their text form, "" for none.

    Raises:
        ConfigurationError: an unknown name or action.
    """
    global _armed  # noqa: PLW0603 - the one switch of this module
    _armed = dict(_parse(part) for part in text.split(";") if part.strip()) or None


def _parse(part: str) -> tuple[str, _Armed]:
    name, _, rest = part.strip().partition("=")
    action, _, at = rest.partition("@")
    if name not in NAMES or action not in _ACTIONS or not (at in ("", "*") or (at.isdecimal() and int(at))):
        raise ConfigurationError(f"{VARIABLE}: {part.strip()!r} is no failpoint; write NAME=ACTION@HIT")
    return name, _Armed(action, None if at == "*" else int(at or 1))


def _hit(name: str) -> None:
    armed = _armed.get(name) if _armed else None
    if armed is None:
        return
    with armed.lock:
        armed.hits += 1
        strikes = armed.at is None or armed.hits == armed.at
    if strikes:
        _strike(name, armed.action)


def _strike(name: str, action: str) -> None:
    if action == "raise":
        raise FailpointError(name)
    if action == "exit":
        os._exit(70)
    if action == "hang":
        threading.Event().wait()
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)


_armed: dict[str, _Armed] | None = None
arm(os.environ.get(VARIABLE, ""))
