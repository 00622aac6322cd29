# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The live picture in a terminal, and plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tickrelay_airflow.local.figures import Figures

_LINE_EVERY = 5.0
_COLOURS = {"running": "green", "waiting": "yellow", "died": "red", "killed": "red", "stopped": "dim"}


class View(Protocol):
    """Shows one look after the other; a context manager."""

    def show(self, figures: Figures, states: Mapping[str, tuple[str, str]], troubles: Sequence[str]) -> None:
        """Show this look."""

    def say(self, sentence: str) -> None:
        """Say something that stays."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def view_for(console: Console, address: str) -> View:
    """The picture for a terminal, lines for everything else."""
    return Picture(console, address) if console.is_terminal else Lines(console, address)


class Picture:
    """A picture that is redrawn in place."""

    def __init__(self, console: Console, address: str) -> None:
        self._console = console
        self._address = address
        self._begun = time.monotonic()
        # Drawn when there is something new, not by a thread of its own ten times a second.
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def show(self, figures: Figures, states: Mapping[str, tuple[str, str]], troubles: Sequence[str]) -> None:
        """Redraw."""
        parts: list[RenderableType] = [self._head(), _numbers(figures), _components(states)]
        parts += [_alarm(line) for line in _errors(figures, troubles)]
        self._live.update(Group(*parts), refresh=True)

    def say(self, sentence: str) -> None:
        """Above the picture."""
        self._console.print(Text(sentence), highlight=False)

    def _head(self) -> Text:
        elapsed = int(time.monotonic() - self._begun)
        clock = f"  {elapsed // 60}:{elapsed % 60:02}   "
        return Text.assemble(
            ("Tickrelay", "bold"), clock, (self._address, "cyan underline"), "   Ctrl-C stops"
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()


class Lines:
    """A line every five seconds."""

    def __init__(self, console: Console, address: str) -> None:
        self._console = console
        self._address = address
        self._next = 0.0
        self._told: set[str] = set()

    def show(self, figures: Figures, states: Mapping[str, tuple[str, str]], troubles: Sequence[str]) -> None:
        """Print a line if the last one is old; errors at once."""
        for trouble in _errors(figures, troubles):
            if trouble not in self._told:
                self._told.add(trouble)
                self.say(f"! {trouble}")
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY
            self.say(_sentence(figures, states))

    def say(self, sentence: str) -> None:
        """Print it."""
        self._console.print(Text(sentence), highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def _alarm(line: str) -> Text:
    return Text(f"! {line}", style="red", overflow="ellipsis", no_wrap=True)


def _numbers(figures: Figures) -> Table:
    table = Table.grid(padding=(0, 3))
    columns = {
        "ticks": figures.ticks,
        "published": _count(figures.published),
        "effects": figures.effects,
        "in flight": figures.in_flight + figures.ready,
        "waiting": figures.waiting,
        "retries": figures.retries,
        "dead letters": figures.dead,
        "order to effect": "-" if figures.latency is None else f"{figures.latency:.1f} s",
    }
    for _ in columns:
        table.add_column(justify="right")
    table.add_row(*(Text(name, style="dim") for name in columns))
    table.add_row(*(Text(str(value), style=_style(name, value)) for name, value in columns.items()))
    return table


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _style(name: str, value: object) -> str:
    return "bold red" if name == "dead letters" and value else "bold"


def _components(states: Mapping[str, tuple[str, str]]) -> Text:
    parts = [(f"{name} {state}", _COLOURS.get(state, "")) for name, (state, _) in states.items()]
    return Text("   ").join(Text(words, style=style) for words, style in parts)


def _sentence(figures: Figures, states: Mapping[str, tuple[str, str]]) -> str:
    down = [f"{name} {state}" for name, (state, _) in states.items() if state != "running"]
    numbers = (
        f"ticks {figures.ticks}, published {_count(figures.published)}, effects {figures.effects}, "
        f"retries {figures.retries}, dead {figures.dead}"
    )
    return f"{numbers} ({', '.join(down)})" if down else numbers


def _errors(figures: Figures, troubles: Sequence[str]) -> list[str]:
    broken = (
        [f"{figures.broken} DAG file(s) can't be imported; see the Airflow pages"] if figures.broken else []
    )
    dead = [f"dead letter, {figures.last_dead}"] if figures.last_dead else []
    trouble = [figures.trouble] if figures.trouble else []
    return [" ".join(line.split()) for line in (*troubles, *broken, *dead, *trouble)]
