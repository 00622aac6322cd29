# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Find the consumer that a person named as `package.module:attribute` or `path/file.py:attribute`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from tickrelay_consumer.consumer import Consumer
from tickrelay_messaging.errors import ConfigurationError, TickrelayError

DEFAULT_ATTRIBUTE = "consumer"


def load_consumer(target: str) -> Consumer:
    """
    Import what `target` names.

    Raises:
        ConfigurationError: nothing is there, it fails when imported, or it is no Consumer.
    """
    place, _, attribute = target.partition(":")
    if not place:
        raise ConfigurationError(f"{target!r}: write package.module:attribute or path/file.py:attribute")
    module = _from_file(Path(place)) if place.endswith(".py") or "/" in place else _from_name(place)
    return _attribute(module, place, attribute or DEFAULT_ATTRIBUTE)


def _from_name(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(
            f"no module {name}: that is no module's name; write package.module:attribute"
        )
    # As with `python -m`: the working directory counts, which a console script leaves out.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"no module {error.name} here or in the environment; is this the right directory?"
            ) from error
        raise _broken(name, error) from error
    except TickrelayError:
        raise
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "there is no such file"
        raise ConfigurationError(f"{path}: {what}; write path/file.py:attribute")
    sys.path.insert(0, str(path.resolve().parent))  # its neighbours can be imported, as with `python file.py`
    spec = importlib.util.spec_from_file_location(_free_name(path.stem), path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path}: is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look a class's module up by name
    try:
        spec.loader.exec_module(module)
    except TickrelayError:
        raise
    except (Exception, SystemExit) as error:
        raise _broken(str(path), error) from error
    return module


def _free_name(stem: str) -> str:
    """A file called `queue.py` must not stand in for the standard library's module."""
    taken = stem in sys.modules or stem in sys.stdlib_module_names
    return f"tickrelay_target_{stem}" if taken else stem


def _broken(place: str, error: BaseException) -> ConfigurationError:
    frames = traceback.extract_tb(error.__traceback__)
    line = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return ConfigurationError(
        f"{place} fails when imported: {type(error).__name__}: {error}{line}; --debug shows the stack"
    )


def _attribute(module: ModuleType, place: str, attribute: str) -> Consumer:
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f"{place} has no attribute {attribute}; {_candidates(module)}")
        found = getattr(found, name)
    if not isinstance(found, Consumer):
        raise ConfigurationError(
            f"{place}:{attribute} is {_kind(found)}, not a Consumer; {_candidates(module)}"
        )
    return found


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"


def _candidates(module: ModuleType) -> str:
    names = sorted(name for name, value in vars(module).items() if isinstance(value, Consumer))
    return (
        f"its consumers are: {', '.join(names)}" if names else "it has no consumer: consumer = Consumer(...)"
    )
