# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Sub-commands from entry points, imported only when they run.

`tickrelay --help` names them all; beside each stands the first line of its module's docstring.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tickrelay_messaging.errors import ServiceError

GROUP = "tickrelay.commands"
_ONLY_ON_TOP = ("install_completion", "show_completion")
_OWN = "tickrelay_consumer."
_OWN_NAME = re.compile(r"^`+tickrelay [^`]*`+:\s*")
"""A docstring may begin with its command's name, which stands beside it in the help already."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """
    A sub-command as far as it is known without importing it.

    Attributes:
        summary: one line for `--help`.
        problem: why it can't run, as far as that shows without importing; else empty.
    """

    entry: EntryPoint
    summary: str
    problem: str = ""

    def load(self) -> Any:
        """
        The command itself.

        Raises:
            ServiceError: it can't be imported, or isn't a typer app; says why.
        """
        try:
            loaded = self.entry.load()
        except (Exception, SystemExit) as error:
            raise ServiceError(self._unavailable(f"{type(error).__name__}: {error}")) from error
        if not isinstance(loaded, typer.Typer):
            raise ServiceError(self._unavailable(f"{self.entry.value} is no typer app"))
        loaded.rich_markup_mode = None  # one look for all, and a quick one
        command = get_command(loaded)
        command.name = self.entry.name
        command.params = [option for option in command.params if option.name not in _ONLY_ON_TOP]
        return command

    def _unavailable(self, reason: str) -> str:
        owner = self.entry.dist.name if self.entry.dist else "its distribution"
        return f"command {self.entry.name} is unavailable: {reason}; check the installation of {owner}"


class PluginGroup(TyperGroup):
    """The top command: a placeholder for every plug-in, exchanged for the real one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.plugins = discover()
        for name, plugin in self.plugins.items():
            help_text = f"(unavailable: {plugin.problem})" if plugin.problem else plugin.summary
            self.add_command(TyperCommand(name, help=help_text, short_help=help_text), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find as ever, then load."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, self.plugins[name].load() if name in self.plugins else command, rest


def discover() -> dict[str, Plugin]:
    """Every sub-command by name, in order; where a name is declared twice, ours wins over a stranger's."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.module.startswith(_OWN)))
    return {entry.name: _describe(entry) for entry in found}


def _describe(entry: EntryPoint) -> Plugin:
    try:
        source = _source(entry.module)
        return Plugin(entry, _first_line(source) if source else "")
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        return Plugin(entry, "", str(error))


def _source(module: str) -> Path | None:
    """
    A module's file, found without importing the module or its packages; None where it isn't a plain file.

    Raises:
        ImportError: there is no such module.
    """
    top, *inner = module.split(".")
    spec = find_spec(top)
    if spec is None:
        raise ImportError(f"no module {top}")
    if not spec.submodule_search_locations:
        return Path(spec.origin) if spec.origin else None
    for folder in spec.submodule_search_locations:
        path = Path(folder, *inner)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    if all(Path(folder).is_dir() for folder in spec.submodule_search_locations):
        raise ImportError(f"no module {module}")
    return None


def _first_line(source: Path) -> str:
    text = ast.get_docstring(ast.parse(source.read_bytes())) or ""
    line = _OWN_NAME.sub("", text.partition("\n")[0].strip())
    return line[:1].upper() + line[1:]
