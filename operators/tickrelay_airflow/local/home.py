# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The state directory: where everything of one local system lies, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tickrelay_messaging.errors import ConfigurationError

LOG_LIMIT = 10 << 20


@dataclass(frozen=True, slots=True)
class Home:
    """
    The files of one local system.

    Attributes:
        path: the state directory, absolute.
    """

    path: Path

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME: configuration, metadata database and task logs. Never the repository."""
        return self.path / "airflow"

    @property
    def logs(self) -> Path:
        """What the components say."""
        return self.path / "logs"

    @property
    def shop(self) -> Path:
        """The demo's business database."""
        return self.path / "shop.db"

    @property
    def processes(self) -> Path:
        """Which processes belong to the system, for a start after a kill."""
        return self.path / "processes.json"

    @property
    def environment(self) -> Path:
        """Shell lines that let another terminal talk to this system."""
        return self.path / "env"

    def url(self, name: str) -> str:
        """The URL of an SQLite file in here."""
        return f"sqlite:///{self.path / name}"

    def create(self) -> None:
        """Make the directories, readable by their owner only."""
        for folder in (self.path, self.airflow, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def tidy(self) -> None:
        """Put logs over `LOG_LIMIT` bytes aside, in place of those put aside before."""
        for log in self.logs.glob("*.log"):
            if log.stat().st_size > LOG_LIMIT:
                log.replace(log.with_suffix(".log.1"))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """
        Be the only one to run a system in here; the kernel lets go of it when the process ends, however it ends.

        Raises:
            ConfigurationError: somebody else runs one here.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"{self.path} is in use by another `tickrelay up` (pid {_first_line(lock.name)}); stop that one, "
                    "or start a second system beside it with --home DIRECTORY"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def secrets(self) -> dict[str, str]:
        """Airflow's keys, made at the first start and kept (mode 0600), so that what they encrypted stays readable."""
        path = self.path / "secrets.json"
        if not path.exists():
            keys = {name: secrets.token_urlsafe(48) for name in ("jwt_secret", "secret_key")}
            keys["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write_private(path, json.dumps(keys))
        loaded: dict[str, str] = json.loads(path.read_text())
        return loaded


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def _first_line(path: str) -> str:
    return Path(path).read_text().partition("\n")[0] or "unknown"
