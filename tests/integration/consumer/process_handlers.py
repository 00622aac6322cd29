# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A consumer whose handler runs in child processes; its folder and URLs come from the environment."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tickrelay_consumer import Consumer, Context, Message, Retry
from tickrelay_consumer.engine.shared import Limits

FOLDER = Path(os.environ.get("PROCESS_HANDLERS_FOLDER", "."))
consumer = Consumer(limits=Limits(workers=2))


@consumer.handler("orders", mode="process", timeout=1, retry=Retry(first=0.02, factor=1, attempts=1))
def take(message: Message, ctx: Context) -> None:
    with (FOLDER / "effects").open("a") as file:
        file.write(f"take {message.id} {os.getpid()} {ctx.attempt}\n")
    if message.data == "hang":
        time.sleep(60)


@consumer.handler("payments", mode="process", retry=Retry(first=0.02, factor=1))
def pay(message: Message, ctx: Context) -> None:
    """Never gets behind its first step."""

    def charge() -> str:
        with (FOLDER / "effects").open("a") as file:
            file.write(f"charge {message.id} {os.getpid()} {ctx.attempt}\n")
        return "charged"

    assert ctx.step("charge", charge) == "charged"
    raise ValueError("after the first step")


if __name__ == "__main__":
    raise SystemExit(consumer.run())
