# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common: discovery, exit codes, errors in one line, and clean output."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tickrelay_consumer.commands import _console, _plugins
from tickrelay_messaging.errors import ConfigurationError, LedgerUnavailable

OURS = {"consume", "dead", "doctor", "publish", "queue", "trace"}


def _also(monkeypatch: pytest.MonkeyPatch, *extra: EntryPoint) -> None:
    real = list(_plugins.entry_points(group=_plugins.GROUP))
    monkeypatch.setattr(_plugins, "entry_points", lambda **_: [*extra, *real])


def test_help_names_every_command(tick: Any) -> None:
    """`tickrelay --help`, and no argument at all, list every sub-command with a line about it."""
    answer = tick("--help")

    assert 0 == answer.code
    assert tick().out == answer.out
    listed = {line.split()[0] for line in answer.out.splitlines() if line.startswith("  ") and line.split()}
    assert listed >= OURS
    assert "unavailable: no module tickrelay_consumer" not in answer.out


def test_help_imports_no_command() -> None:
    """Listing the commands imports none of them, no driver, no pydantic: that is what keeps it quick."""
    code = (
        "import sys; from tickrelay_consumer.commands import run; run(['--help']);"
        "heavy = ('tickrelay_consumer.commands.queue', 'sqlalchemy', 'pydantic');"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.splitlines()[-1]


def test_missing_plugin_is_shown_with_its_reason(tick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command whose module isn't there is listed as unavailable; the others still run."""
    _also(monkeypatch, EntryPoint("ghost", "tickrelay_consumer.nowhere:app", _plugins.GROUP))

    assert "(unavailable: no module tickrelay_consumer.nowhere)" in tick("--help").out
    assert 0 == tick("queue", "--help").code
    assert 1 == tick("ghost").code


def test_broken_plugin_says_why(tick: Any, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """A command that fails when imported ends in one line with the reason, exit code 1."""
    (place / "broken_plugin.py").write_text('"""A plug-in."""\nraise RuntimeError("bad day")\n')
    monkeypatch.syspath_prepend(str(place))
    _also(monkeypatch, EntryPoint("broken", "broken_plugin:app", _plugins.GROUP))

    answer = tick("broken")

    assert 1 == answer.code
    assert "error: command broken is unavailable: RuntimeError: bad day" in answer.err
    assert "A plug-in." in tick("--help").out


def test_stranger_cannot_replace_our_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second declaration of one of our names loses."""
    _also(monkeypatch, EntryPoint("queue", "stranger.queue:app", _plugins.GROUP))

    assert "tickrelay_consumer.commands.queue" == _plugins.discover()["queue"].entry.module


def test_usage_errors_are_one_line(tick: Any) -> None:
    """A wrong command or option: exit code 2, one line, and where the help is."""
    typo, option = tick("queu"), tick("queue", "list", "--nonsense")

    assert (2, 2) == (typo.code, option.code)
    assert "Did you mean 'queue'" in typo.err
    assert "see tickrelay queue list --help" in option.err
    assert 1 == option.err.count("\n")
    assert "" == option.out


def test_version(tick: Any) -> None:
    """`--version` names the version and nothing else."""
    assert tick("--version").out.startswith("tickrelay 0.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x; y"), 2),
        (LedgerUnavailable("x; y"), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 1),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_exit_code_by_fault(
    tick: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """Caller's fault 2, service's fault 1, Ctrl-C 130; never a stack."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("tickrelay_consumer.commands.queue.open_broker", fail)
    answer = tick("queue", "list", "--json")

    assert (code, "") == (answer.code, answer.out)
    assert "Traceback" not in answer.err
    assert answer.err.count("\n") <= 1


def test_debug_shows_the_stack(tick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--debug` anywhere on the line, or TICKRELAY_DEBUG, shows where an error came from."""
    assert "Traceback" in tick("queue", "list", "--debug").err
    monkeypatch.setenv("TICKRELAY_DEBUG", "1")
    assert "Traceback" in tick("queue", "list").err


def test_looking_makes_no_file(tick: Any, place: Path) -> None:
    """A command that only looks doesn't leave a new queue behind in the wrong directory."""
    answer = tick("queue", "list")

    assert 2 == answer.code
    assert "no broker file" in answer.err
    assert [] == list(place.iterdir())


def test_reader_that_leaves_is_no_error(place: Path) -> None:
    """`tickrelay ... | head` ends quietly."""
    script = f"{sys.executable} -c 'from tickrelay_consumer.commands import main; main()' --help | true"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)

    assert "" == done.stderr


def test_color_only_when_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR is respected even where a terminal could show colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")

    assert _console.out().color_system is None or _console.out().no_color


@pytest.mark.parametrize(
    ("nasty", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb", "a\\nb"),
        ("\u202edrawkcab", "\\u202edrawkcab"),
        ("\x9b31m", "\\x9b31m"),
        ("lone \udce9", "lone \\udce9"),
        ("Grüße 東京 🎉", "Grüße 東京 🎉"),
    ],
)
def test_unprintable_text_is_escaped(nasty: str, shown: str) -> None:
    """What could command a terminal is shown as an escape; every printable script stays as it is."""
    assert shown == _console.safe(nasty)


def test_body_cut_keeps_whole_characters() -> None:
    """A cut in the middle of a character loses that character, not the text; other bytes are shown in hex."""
    assert ("text", "€", 3) == _console.body_view("€€".encode(), 3)
    assert ("text", "€", 1) == _console.body_view("€€".encode(), 5)
    assert ("hex", "ff fe", 1) == _console.body_view(b"\xff\xfe\x00", 2)


def test_confirm_needs_somebody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal nothing is assumed; at one, only yes is yes."""

    class Terminal:
        def __init__(self, line: str) -> None:
            self.line = line

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.line

    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    _console.confirm("sure?", yes=False)
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    with pytest.raises(ConfigurationError, match="not confirmed"):
        _console.confirm("sure?", yes=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ConfigurationError, match="--yes"):
        _console.confirm("sure?", yes=False)
