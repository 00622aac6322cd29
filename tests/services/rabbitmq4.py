# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
RabbitMQ 4 from Debian trixie in a folder that is its root; for long forms, as root.

`TICKRELAY_TRIXIE` names the folder. Made once: `debootstrap --variant=minbase trixie FOLDER`, then in it
`apt-get install --no-install-recommends rabbitmq-server`.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests.services.process import need
from tests.services.rabbitmq import RabbitNode


class Rabbit4Node(RabbitNode):
    """
    A node whose programs are another Debian's; its folder is the same path in there and out here.

    Args:
        folder: as for any node.
    """

    def __init__(self, folder: Path) -> None:
        need("unshare")
        self._root = Path(os.environ.get("TICKRELAY_TRIXIE", ""))
        found = sorted(self._root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-4*/sbin"))
        if not found or not self._root.is_absolute():
            pytest.fail(f"TICKRELAY_TRIXIE={self._root} holds no RabbitMQ 4; {__name__} says how to get it")
        self._inside = Path("/") / found[-1].relative_to(self._root)
        self._folder = folder
        super().__init__(folder)

    def _enter(self, *command: str) -> list[str]:
        """A command with our folder bound to the same path in there; mounts that nobody else sees end with it."""
        there = self._root / self._folder.relative_to("/")
        there.mkdir(parents=True, exist_ok=True)
        words = {name: shlex.quote(str(path)) for name, path in (("root", self._root), ("there", there))}
        ours = shlex.quote(str(self._folder))
        script = (
            f"mount -t proc proc {words['root']}/proc && mount --bind /dev {words['root']}/dev && "
            f"mount --bind {ours} {words['there']} && chroot {words['root']} {shlex.join(command)}"
        )
        return ["unshare", "-m", "sh", "-c", f"{script}"]

    def _command(self) -> list[str]:
        words = self._enter(str(self._inside / "rabbitmq-server"))
        return [*words[:-1], words[-1].replace("&& chroot", "&& exec chroot")]

    def _control(self, *arguments: str) -> list[str]:
        return self._enter(str(self._inside / "rabbitmqctl"), *arguments)
