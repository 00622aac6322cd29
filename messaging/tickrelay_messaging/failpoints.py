# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Named places in the code where a test may let the process die, stop or fail.

Armed by the environment, `TICKRELAY_FAILPOINTS="consumer.after_effect=kill@3;publish.after_confirm=raise"`: an action
and the hit it happens at (the first by default; `@*` is every one; `%0.01` is each with that probability, by a PRNG
that `TICKRELAY_FAILPOINTS_SEED` seeds). Actions: `kill` (SIGKILL), `stop` (SIGSTOP), `exit`, `raise`
(`FailpointError`), `hang` (until the process ends), `sleep(SECONDS)`. Unarmed, a failpoint costs one look at a global.

Every name is in `POINTS`, so that a campaign can visit them all and notice one it never reached.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tickrelay_messaging.errors import ConfigurationError

VARIABLE = "TICKRELAY_FAILPOINTS"
SEED = "TICKRELAY_FAILPOINTS_SEED"

POINTS: Mapping[str, str] = {
    "publish.before_send": "a chunk of messages is made, none of it sent",
    "publish.after_confirm": "the broker has a chunk, and nobody has heard of it",
    "consumer.after_receive": "messages have come, maybe none",
    "consumer.after_decode": "messages are readable, nothing is claimed",
    "consumer.after_claim": "claimed for every handler, not handed out",
    "consumer.after_park": "what isn't this consumer's to do is acknowledged",
    "consumer.after_claim_due": "claimed from the ledger, which has the only copy",
    "consumer.before_handler": "a handler is about to be called",
    "consumer.after_effect": "it has returned, and nothing says so yet",
    "consumer.transaction.before_commit": "effects and done-marks of a transaction are written, not committed",
    "consumer.transaction.after_commit": "committed, not acknowledged",
    "consumer.before_settle": "results are known to this process alone",
    "consumer.after_settle": "the ledger has them, the broker has heard nothing",
    "consumer.after_acknowledge": "the broker has heard it",
    "consumer.before_renew": "the lease is about to be renewed",
    "consumer.after_reap": "a dead consumer's claims were taken over",
    "consumer.draining": "told to stop, nothing released yet",
    "relay.after_take": "messages of the outbox are this relay's, the broker has heard of none",
    "relay.after_publish": "the broker has them, the outbox doesn't know",
}
"""What has happened where each stands, and what hasn't."""

NAMES = tuple(POINTS)

_ACTIONS = ("kill", "stop", "exit", "raise", "hang")
_FORM = re.compile(
    r"(?P<name>[\w.]+)=(?:(?P<action>[a-z]+)|sleep\((?P<seconds>\d+(?:\.\d+)?)\))"
    r"(?:@(?P<at>\*|[1-9]\d*)|%(?P<chance>[01](?:\.\d+)?))?",
    re.ASCII,
)


class FailpointError(RuntimeError):
    """What an armed failpoint with the action `raise` raises."""


@dataclass(slots=True)
class _Armed:
    action: str
    at: int | None
    seconds: float = 0.0
    chance: float | None = None
    dice: random.Random = field(default_factory=random.Random)
    hits: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hit(self) -> bool:
        """Whether it strikes this time."""
        with self.lock:
            self.hits += 1
            if self.chance is not None:
                return self.dice.random() < self.chance
            return self.at is None or self.hits == self.at


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
    found = _FORM.fullmatch(part.strip())
    if not found or found["name"] not in POINTS or found["action"] not in (*_ACTIONS, None):
        raise ConfigurationError(f"{VARIABLE}: {part.strip()!r} is no failpoint; write NAME=ACTION@HIT")
    at = None if found["at"] == "*" else int(found["at"] or 1)
    chance = None if found["chance"] is None else float(found["chance"])
    dice = random.Random(f"{os.environ.get(SEED, '')}:{found['name']}")  # noqa: S311 - repeatable on purpose
    return found["name"], _Armed(found["action"] or "sleep", at, float(found["seconds"] or 0), chance, dice)


def _hit(name: str) -> None:
    armed = _armed.get(name) if _armed else None
    if armed is not None and armed.hit():
        _strike(name, armed)


def _strike(name: str, armed: _Armed) -> None:
    if armed.action == "raise":
        raise FailpointError(name)
    if armed.action == "exit":
        os._exit(70)
    if armed.action == "hang":
        threading.Event().wait()
    if armed.action == "sleep":
        time.sleep(armed.seconds)
        return
    os.kill(os.getpid(), signal.SIGKILL if armed.action == "kill" else signal.SIGSTOP)


_armed: dict[str, _Armed] | None = None
arm(os.environ.get(VARIABLE, ""))
