# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A TCP proxy in this process, for what goes wrong between a client and a server: latency, silence, resets, slow goodbyes.

Why not toxiproxy alone: it needs Go 1.23, Debian's is 1.19, and a test that needs a toolchain of its own to be built on
a clean machine isn't robust. `tests.services.toxiproxy` runs the real one where Go is there.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)


class _Pair:
    """
    One client's connection and the one to the server that belongs to it.

    Attributes:
        swallows: nothing is carried any more.
        asked: the client was the last to say something.
    """

    def __init__(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.writers = writers
        self.swallows = self.asked = False

    def close(self, *, reset: bool = False) -> None:
        for writer in self.writers:
            if reset and (sock := writer.get_extra_info("socket")) is not None:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class Proxy:
    """
    Args:
        upstream: the server's port on this machine; may be set later.

    Attributes:
        port: where it listens.
        latency: seconds each byte takes, each way; what is sent behind it travels at the same time.
        linger: seconds until one side's goodbye reaches the other.
        reset_after: bytes from a client after which its connection is reset, counted from when this is set.
        rounds: how often a client sent something after the server had answered.
    """

    def __init__(self, upstream: int = 0) -> None:
        self.upstream = upstream
        self.latency = self.linger = 0.0
        self.reset_after: int | None = None
        self.rounds = 0
        self._pairs: list[_Pair] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def black_hole(self) -> None:
        """The connections there are stay open and carry nothing any more, either way; new ones work."""
        self._call(lambda: [setattr(pair, "swallows", True) for pair in self._pairs])

    def reset(self) -> None:
        """Reset the connections there are."""
        self._call(lambda: self._end_all(reset=True))

    def close(self) -> None:
        """End everything."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _shut(self) -> None:
        self._server.close()
        self._end_all()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(), done.set()))
        assert done.wait(10)

    def _end_all(self, *, reset: bool = False) -> None:
        for pair in self._pairs:
            pair.close(reset=reset)
        self._pairs.clear()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair((writer, forth))
        self._pairs.append(pair)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                self._carry(pair, reader, forth, client=True), self._carry(pair, back, writer, client=False)
            )
        if not pair.swallows:
            pair.close()

    async def _carry(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client: bool
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.ensure_future(self._deliver(pair, under_way, writer))
        while data := await reader.read(1 << 16):
            if client and self._is_over(len(data)):
                pair.close(reset=True)
                break
            self.rounds += client and not pair.asked
            pair.asked = client
            under_way.put_nowait((self._loop.time() + self.latency, data))
        under_way.put_nowait((self._loop.time() + self.latency + self.linger, b""))
        await delivering

    def _is_over(self, size: int) -> bool:
        if self.reset_after is None:
            return False
        self.reset_after -= size
        if self.reset_after >= 0:
            return False
        self.reset_after = None
        return True

    async def _deliver(
        self, pair: _Pair, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if pair.swallows:
                if not data:
                    return
                continue
            if not data:
                if writer.can_write_eof() and not writer.transport.is_closing():
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


@contextmanager
def proxied(upstream: int = 0) -> Iterator[Proxy]:
    """A proxy for as long as the block lasts."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
