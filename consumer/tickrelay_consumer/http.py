# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`/metrics`, `/healthz` and `/readyz` of a consumer, on a small server of its own thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tickrelay_consumer.health import Health
from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.errors import ConfigurationError

_TEXT = "text/plain; charset=utf-8"
_CLIENT_SECONDS = 10.0


@contextmanager
def serve(address: str, metrics: Metrics, health: Health) -> Iterator[int]:
    """
    Serve while inside; yields the port.

    Args:
        address: `host:port`; port 0 takes a free one.

    Raises:
        ConfigurationError: the address can't be listened on.
    """
    host, _, port = address.rpartition(":")
    handler = type("Handler", (_Handler,), {"metrics": metrics, "health": health, "timeout": _CLIENT_SECONDS})
    try:
        server = (_Server6 if ":" in host else ThreadingHTTPServer)((host.strip("[]"), int(port)), handler)
    except OSError as error:
        raise ConfigurationError(
            f"--http {address}: {error.strerror}; choose another address or port"
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="tickrelay-http", daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    metrics: Metrics
    health: Health

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(self.metrics.registry), CONTENT_TYPE_LATEST)
        elif path == "/healthz":
            problems = self.health.problems()
            text = "\n".join([*(problems or ["ok"]), *self.health.notes()])
            self._answer(503 if problems else 200, text.encode())
        elif path == "/readyz":
            is_ready = self.health.is_ready()
            text = "\n".join(["ready" if is_ready else "not ready", *self.health.notes()])
            self._answer(200 if is_ready else 503, text.encode())
        else:
            self._answer(404, b"see /metrics, /healthz, /readyz")

    def _answer(self, status: int, body: bytes, content_type: str = _TEXT) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own signature
        """A scrape every few seconds isn't worth a line."""
