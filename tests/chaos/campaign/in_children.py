# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A consumer whose handlers run in child processes: found here by its children, which import this module.

A child that dies at a failpoint writes down which, for nobody else can tell.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.chaos.brokers.history import History
from tests.chaos.campaign.handling import SETTINGS, register

from tickrelay_consumer import Consumer
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging import failpoints


class LazyHistory(History):
    """Opened when first written to: a module that leaves a file open makes children import it one by one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, kind: str, ids: list[str] | tuple[str, ...] = (), **more: object) -> None:
        """See `History.write`."""
        if not hasattr(self, "_file"):
            super().__init__(self._path)
        super().write(kind, ids, **more)


settings: dict[str, Any] = json.loads(os.environ[SETTINGS])
history = LazyHistory(Path(settings["folder"]) / "consumer.jsonl")
consumer = Consumer(limits=Limits(**settings["limits"]))
register(consumer, {**settings, "handler": {"mode": "process"}}, history)
_strike = failpoints._strike


def _strike_and_tell(name: str, armed: Any) -> None:
    history.write("struck", point=name, pid=os.getpid())
    _strike(name, armed)


failpoints._strike = _strike_and_tell
