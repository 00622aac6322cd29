# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Where a child process finds the consumer whose handlers it calls.

The child gets no function from its parent: it imports the module that the parent itself has imported or was started
as, and looks the consumer up there. So nothing but a module's name, or its file, goes from one to the other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tickrelay_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from tickrelay_consumer.handlers import Handler

_children: set[bool] = set()


def target_of(handlers: Sequence[Handler]) -> str:
    """
    The target, as `tickrelay consume` takes it, under which these handlers' consumer is found.

    Raises:
        ConfigurationError: no global variable of any module is this consumer.
    """
    from tickrelay_consumer.consumer import Consumer

    wanted = set(map(id, handlers))
    # The main module comes last: what it holds behind its `if __name__ == "__main__"` no child finds there.
    for name, module in sorted(sys.modules.items(), key=lambda one: (one[0] == "__main__", one[0])):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if isinstance(value, Consumer) and wanted <= set(map(id, value.handlers)):
                return f"{_place(name, module)}:{attribute}"
    names = ", ".join(handler.name for handler in handlers)
    raise ConfigurationError(
        f"mode='process' ({names}): a child process can't find this consumer; "
        "let a global variable of an importable module hold it: consumer = Consumer(...)"
    )


def _place(name: str, module: ModuleType) -> str:
    """Its name if it can be imported under that, else its file."""
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    real = spec.name if name == "__main__" and spec is not None else name
    if real != "__main__" and _is_found_at(real, module):
        return real
    file = getattr(module, "__file__", None)
    if file is None:
        raise ConfigurationError(
            f"mode='process': module {name} has no file, so a child process can't import it; write it to one"
        )
    return str(Path(file).resolve())


def _is_found_at(name: str, module: ModuleType) -> bool:
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin == getattr(module, "__file__", None)


def become_child() -> None:
    """From now on this process is a child, which calls handlers and runs no consumer."""
    _children.add(True)


def refuse_in_child() -> None:
    """
    Raises:
        ConfigurationError: in a child: the module is imported there to find its handlers.
    """
    if _children:
        raise ConfigurationError(
            "a child process imports this module to find its handlers, and that must not run the consumer; "
            "write: if __name__ == '__main__': consumer.run()"
        )
