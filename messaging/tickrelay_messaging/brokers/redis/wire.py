# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One connection to a Redis server: every wait has an end, and no error of the driver's leaves it."""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from tickrelay_messaging.brokers.redis.errors import check_server, in_our_words, spoils
from tickrelay_messaging.brokers.redis.url import Settings
from tickrelay_messaging.brokers.tls import tls_alert
from tickrelay_messaging.errors import BrokerUnavailable, TickrelayError

Argument = str | bytes | int
LONGEST_SILENCE = 1.0
"""Seconds to listen for why a server hung up on a client it doesn't know."""


class Wire:
    """
    For one thread at a time.

    Args:
        settings: where to.
        within: longest time in seconds for connecting.

    Attributes:
        born: when it was made, by the monotonic clock.
        id: what the server calls this connection (`CLIENT ID`).
        is_durable: whether the server writes down what it confirms (`appendonly`).

    Raises:
        BrokerUnavailable: nobody answers.
        ConfigurationError: refused by the server, or a server that can't be trusted with a queue.
    """

    def __init__(self, settings: Settings, within: float) -> None:
        self._where = settings.where
        self._timeout = settings.timeout
        self._expected = 0
        self._spoiled = False
        self.born = time.monotonic()
        patience = max(0.001, min(within, settings.timeout))
        host, port = _master(settings, patience) if settings.sentinel else settings.sentinels[0]
        self._connection = _connect(settings, {**settings.arguments, "host": host, "port": port}, patience)
        try:
            self._greet(patience)
        except BaseException:
            self.close()
            raise

    def _greet(self, patience: float) -> None:
        self.id: int = self.call("CLIENT", "ID", within=patience)
        answer = self.call("INFO", within=patience).decode("utf-8", "replace")
        info = dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
        self.is_durable = info.get("aof_enabled") == "1"
        check_server(info, self._where)

    def call(self, *command: Argument, within: float | None = None) -> Any:
        """One command and its answer, texts as bytes."""
        return self.call_all([command], within=within)[0]

    def call_all(self, commands: Sequence[Sequence[Argument]], *, within: float | None = None) -> list[Any]:
        """Several in one round trip; raises the first of the server's errors, after having heard all answers."""
        deadline = time.monotonic() + (self._timeout if within is None else within)
        packed = b"".join(pack(*command) for command in commands)
        self.send(packed, len(commands), within=deadline - time.monotonic())
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(self.read(within=deadline - time.monotonic()))
            except TickrelayError as error:
                if not self.is_open:
                    raise
                answers.append(error)
        for answer in answers:
            if isinstance(answer, TickrelayError):
                raise answer
        return answers

    def send(self, packed: bytes, answers: int = 1, *, within: float) -> None:
        """
        Send packed commands without waiting for their answers.

        Raises:
            BrokerUnavailable: they didn't all get away.
        """
        self._expected += answers
        sock = self._connection._sock  # noqa: SLF001 - the one thing redis-py has no name for
        if sock is None:
            raise BrokerUnavailable(f"{self._where}: the connection is closed")
        sock.settimeout(max(0.001, within))
        try:
            self._connection.send_packed_command([packed], check_health=False)
        except (RedisError, OSError) as error:
            raise in_our_words(error, self._where) from error

    def read(self, *, within: float) -> Any:
        """
        The next answer.

        Raises:
            BrokerUnavailable: none came.
            TickrelayError: the answer is an error, in our words.
        """
        try:
            answer = self._connection.read_response(disable_decoding=True, timeout=max(0.001, within))
        except ResponseError as error:
            self._expected -= 1
            self._spoiled |= spoils(error)
            raise in_our_words(error, self._where) from error
        except (RedisError, OSError) as error:
            self._connection.disconnect()
            raise in_our_words(error, self._where) from error
        self._expected -= 1
        return answer

    def fileno(self) -> int:
        """For `select.poll`."""
        sock = self._connection._sock  # noqa: SLF001
        return -1 if sock is None else int(sock.fileno())

    @property
    def is_open(self) -> bool:
        """Whether nothing has broken it yet."""
        return self._connection._sock is not None and not self._spoiled  # noqa: SLF001

    def is_usable(self) -> bool:
        """Whether another command may be sent: it's open, owes no answer, and has nothing to say unasked."""
        if not self.is_open or self._expected:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)  # readable while idle means that the server hung up

    def close(self) -> None:
        """Hang up; in a forked child, only forget."""
        self._connection.disconnect()


def _connect(settings: Settings, arguments: Mapping[str, Any], patience: float) -> Any:
    """redis-py's connection; Any, because its own annotations are incomplete."""
    made: Any = (SSLConnection if settings.tls else Connection)(
        **arguments,
        socket_timeout=patience,
        socket_connect_timeout=patience,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # 3 would announce pushes in between, and maps that are slower to read
    )
    try:
        made.connect()
    except (RedisError, OSError) as error:
        made.disconnect()
        told = _alert(made, patience) if settings.tls and not isinstance(error, NoAnswer) else None
        raise in_our_words(told or error, settings.where) from error
    return made


def _alert(made: Any, patience: float) -> ssl.SSLError | None:
    with suppress(RedisError):
        # A handshake without a login.
        return tls_alert(made._connect, min(patience, LONGEST_SILENCE))  # noqa: SLF001
    return None


def _master(settings: Settings, patience: float) -> tuple[str, int]:
    """Where the first Sentinel that answers sees the master."""
    reasons = []
    tls = {name: value for name, value in settings.arguments.items() if name.startswith("ssl_")}
    for host, port in settings.sentinels:
        try:
            made = _connect(settings, {"host": host, "port": port, **tls}, patience)
        except TickrelayError as error:
            reasons.append(str(error))
            continue
        try:
            made.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings.sentinel)
            found = made.read_response(disable_decoding=True)
        except (RedisError, OSError) as error:
            found, reasons = None, [*reasons, str(error)]
        finally:
            made.disconnect()
        if found:
            return found[0].decode(), int(found[1])
    raise BrokerUnavailable(
        f"{settings.where}: no Sentinel knows the master: {'; '.join(reasons) or 'unknown name'}"
    )


def pack(*command: Argument) -> bytes:
    """A command as it travels."""
    parts = [part if isinstance(part, bytes) else str(part).encode("utf-8", "replace") for part in command]
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%s\r\n" % (len(part), part) for part in parts])


def pairs(flat: Sequence[Any]) -> Mapping[bytes, Any]:
    """An answer of names and values as a mapping."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
