# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The consumer as its users meet it: handlers are registered on it, `run` carries messages out until told to stop."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

from tickrelay_consumer.backlog import Backlog
from tickrelay_consumer.batching import BatchFunction
from tickrelay_consumer.breaker import Breaker
from tickrelay_consumer.engine.emptiness import Emptiness
from tickrelay_consumer.engine.engine import Engine
from tickrelay_consumer.engine.runners.origin import refuse_in_child
from tickrelay_consumer.engine.shared import Limits, Load, Shared, log
from tickrelay_consumer.garbage import seldom_collected
from tickrelay_consumer.gates import Gates
from tickrelay_consumer.handlers import Effect, Function, Handler, Retry
from tickrelay_consumer.health import Health
from tickrelay_consumer.http import serve
from tickrelay_consumer.joining import check_effects, join
from tickrelay_consumer.metrics import Metrics
from tickrelay_consumer.middlewares.composing import Middleware, compose
from tickrelay_consumer.modes import check_batch, mode_of
from tickrelay_consumer.policy import ambiguity_of, guarded, rule_of
from tickrelay_consumer.rate import Rate
from tickrelay_consumer.settings import Settings
from tickrelay_consumer.stopping import Signals, Stop
from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.errors import ConfigurationError, ServiceError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger import Ledger, open_ledger

F = TypeVar("F", bound=Function | BatchFunction)


class Consumer:
    """
    Carries out messages of queues, each handler's effect once.

    Args:
        broker: its URL, or an open broker; `TICKRELAY_BROKER` by default.
        ledger: its URL, or an open ledger; `TICKRELAY_LEDGER` by default.
        group: the group it joins in every queue; `TICKRELAY_GROUP` by default.
        http: `host:port` of `/metrics`, `/healthz` and `/readyz`; `TICKRELAY_HTTP` by default, none without it.
        limits: bounds of one process.
        middlewares: put around every handler, the first outermost.
    """

    def __init__(
        self,
        broker: str | Broker | None = None,
        ledger: str | Ledger | None = None,
        *,
        group: str | None = None,
        http: str | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._overrides: dict[str, str | None] = {"group": group, "http": http}
        self._limits = limits
        self._middlewares = tuple(middlewares)
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._working: tuple[Handler, ...] = ()
        self._stop = Stop()
        self.metrics = Metrics()

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """What was registered, in order."""
        return tuple(self._handlers.values())

    @property
    def limits(self) -> Limits:
        """Bounds of one process, as given."""
        return self._limits

    def handler(  # noqa: PLR0913 - a keyword for each thing one may want
        self,
        queue: str,
        *,
        effect: str = "external",
        name: str | None = None,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        timeout: float = 30.0,
        mode: str | None = None,
        batch: int | None = None,
        batch_wait: float = 0.05,
        middlewares: Sequence[Middleware] = (),
        breaker: Breaker | None = None,
        rate: str | Rate | None = None,
        key_order: bool | str = False,
        singleton: bool = False,
        on_ambiguous: str | None = None,
        verify: Callable[..., Any] | None = None,
    ) -> Callable[[F], F]:
        """
        Register a function for a queue; several for one queue each get every message.

        Args:
            effect: what it promises, "transaction", "redis" or "external"; see `Effect`.
            name: the function's name by default. Deduplication goes by it.
            retry: when a failed message is tried again.
            timeout: seconds for one attempt.
            mode: where it runs: "thread", "process" or "asyncio"; see `Mode`. By default an `async def` runs in the
                event loop, any other function in a thread.
            batch: call it with up to so many messages at once, as `function(messages, ctx: BatchContext)`.
            batch_wait: seconds that a batch waits to become full.
            middlewares: put around it, inside the consumer's own.
            breaker: when it, and with it its queue, is left alone for a while.
            rate: how often it may be started in one process, such as "100/s"; its queue waits.
            key_order: messages with the same key one after the other, in the order in which they were first claimed;
                a dead one is stepped over, or holds the others up if "strict".
            singleton: while one message of a key runs, the others are skipped; without a key, one of all.
            on_ambiguous: what becomes of a message whose earlier attempt may have had its effect: "retry",
                "quarantine" or "verify"; see `Ambiguity`.
            verify: called with message and context before it is carried out again: whether the effect is there.

        Raises:
            ConfigurationError: a value isn't allowed, or the queue has a handler of this name.
        """
        check_name(queue)
        if effect not in set(Effect):
            raise ConfigurationError(f"effect must be one of {', '.join(Effect)}, got {effect!r}")

        def register(function: F) -> F:
            own = name or function.__name__
            around = (*self._middlewares, *middlewares)
            check_batch(own, batch, batch_wait, around)
            ambiguity = ambiguity_of(own, on_ambiguous, verify)
            composed = compose(function, around)  # type: ignore[arg-type]  # around batches there is nothing
            made = Handler(
                function=guarded(composed, ambiguity, verify),
                queue=queue,
                name=own,
                effect=Effect(effect),
                retry=retry,
                timeout=timeout,
                mode=mode_of(function, mode),
                batch=batch,
                batch_wait=batch_wait,
                breaker=breaker,
                rate=Rate.of(rate) if rate is not None else None,
                rule=rule_of(own, key_order=key_order, singleton=singleton),
                ambiguity=ambiguity,
            )
            if (queue, own) in self._handlers:
                raise ConfigurationError(
                    f"queue {queue!r} has a handler named {own!r}; give this one another name="
                )
            self._handlers[(queue, own)] = made
            return function

        return register

    def configure(
        self,
        *,
        broker: str | None = None,
        ledger: str | None = None,
        group: str | None = None,
        http: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Replace what the constructor was given, where an argument isn't None; for commands with options."""
        self._broker = broker or self._broker
        self._ledger = ledger or self._ledger
        self._limits = limits or self._limits
        self._overrides |= {
            key: value for key, value in (("group", group), ("http", http)) if value is not None
        }

    def urls(self) -> dict[str, str | None]:
        """Broker and ledger as they were given; None for what the environment says, or what was handed over open."""
        given = {"broker": self._broker, "ledger": self._ledger}
        return {name: value if isinstance(value, str) else None for name, value in given.items()}

    def stop(self) -> None:
        """End `run` gracefully; from any thread or signal handler."""
        self._stop.set()

    def run(self, *, signals: bool = True, until_empty: float | None = None) -> int:
        """
        Carry out messages until SIGTERM, SIGINT or `stop`; a second signal ends the process at once.

        Meanwhile Python's garbage collector passes more seldom, unless its threshold was chosen: `garbage`.

        Args:
            signals: listen to them; only possible in the main thread.
            until_empty: also stop once nothing was ready, in flight or waiting for so many seconds.

        Returns:
            the exit code: 0 after a graceful stop, 1 if the consumer had to give up.

        Raises:
            ConfigurationError: no handler, or a setting that isn't allowed.
            ServiceError: broker or ledger can't be reached at the start.
        """
        refuse_in_child()
        if not self._handlers:
            raise ConfigurationError(
                "this consumer has no handler; register one with @consumer.handler(QUEUE)"
            )
        with ExitStack() as stack:
            if signals:
                stack.enter_context(Signals(self._stop))
            shared = self._open(stack)
            stack.enter_context(seldom_collected())
            self._work(shared, stack, None if until_empty is None else Emptiness(shared, until_empty))
        return 1 if shared.gave_up else 0

    def _open(self, stack: ExitStack) -> Shared:
        given = {"broker": self._broker, "ledger": self._ledger}
        urls = {name: value for name, value in given.items() if isinstance(value, str)}
        settings = self._settings = Settings.load(**urls, **self._overrides)
        broker = (
            self._broker
            if isinstance(self._broker, Broker)
            else stack.enter_context(open_broker(settings.broker))
        )
        ledger = (
            self._ledger
            if isinstance(self._ledger, Ledger)
            else stack.enter_context(open_ledger(settings.ledger))
        )
        check_effects(ledger, self.handlers)
        self._working = join(broker, self.handlers, settings.group)
        shared = self._enroll(stack, broker, ledger, settings.group)
        if not isinstance(self._broker, Broker):
            shared.reopen = partial(open_broker, settings.broker)
        return shared

    def _enroll(self, stack: ExitStack, broker: Broker, ledger: Ledger, group: str) -> Shared:
        name = f"{socket.gethostname()}:{os.getpid()}"
        routes = tuple(handler.route(group) for handler in self._working)
        if ledger.reap():
            failpoint("consumer.after_reap")
        shared = Shared(
            broker=broker,
            ledger=ledger,
            group=group,
            limits=self._limits,
            metrics=self.metrics,
            owner=ledger.enroll(name, routes, lease=self._limits.lease),
            load=Load(self._limits.prefetch),
            routes=routes,
            name=name,
            gates=Gates(self._working),
        )
        stack.callback(_retire, shared)
        self.metrics.watch_load(lambda: shared.load.count)
        shared.gates.observe(self.metrics.watch_breaker)
        return shared

    def _work(self, shared: Shared, stack: ExitStack, emptiness: Emptiness | None) -> None:
        engine = Engine(shared, self._working)
        if self._settings.http:
            health = Health(shared, engine.is_whole, max(handler.timeout for handler in self._working))
            stack.enter_context(serve(self._settings.http, self.metrics, health))
        engine.start()
        if self._settings.http:
            shared.spawn("backlog", Backlog(shared).run)
        log.info("consuming", queues=sorted({handler.queue for handler in self._working}), group=shared.group)
        try:
            while not (self._stop.wait(1.0) or shared.stopping.is_set()):
                if emptiness is not None and emptiness.is_over():
                    log.info("nothing left to do")
                    break
        finally:
            log.info("stopping", in_hand=shared.load.count)
            engine.stop()
            log.info("stopped", unfinished=shared.load.count)


def _retire(shared: Shared) -> None:
    """Where the ledger can't be told, others notice by themselves that this process has ended."""
    try:
        shared.ledger.retire(shared.owner)
    except ServiceError as error:
        log.warning("can't take leave of the ledger", error=str(error))
