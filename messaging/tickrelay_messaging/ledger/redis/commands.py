# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What `effect="redis"` may write in the script of its done-mark: commands that do one thing to named keys, now.

Redis doesn't undo what a script has written. So a command that blocks, deletes everything, leaves the database, runs
another script or changes the server is refused here, before anything is sent. One the server refuses (a wrong type, a
wrong number of arguments) makes its message a dead letter that says which; what came before it in the same message
stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from tickrelay_messaging.errors import ConfigurationError

# fmt: off
ALLOWED = frozenset(
    [
        "append", "bitfield", "bitop", "copy", "decr", "decrby", "del", "expire", "expireat",
        "expiretime", "geoadd", "getdel", "getset", "hdel", "hincrby", "hincrbyfloat", "hmset", "hset",
        "hsetnx", "incr", "incrby", "incrbyfloat", "linsert", "lmove", "lpop", "lpush", "lpushx",
        "lrem", "lset", "ltrim", "mset", "msetnx", "persist", "pexpire", "pexpireat", "pfadd",
        "pfmerge", "psetex", "publish", "rename", "renamenx", "rpop", "rpoplpush", "rpush", "rpushx",
        "sadd", "sdiffstore", "set", "setbit", "setex", "setnx", "setrange", "sinterstore", "smove",
        "srem", "sunionstore", "touch", "unlink", "xack", "xadd", "xdel", "xtrim", "zadd", "zdiffstore",
        "zincrby", "zinterstore", "zrangestore", "zrem", "zremrangebylex", "zremrangebyrank",
        "zremrangebyscore", "zunionstore",
    ]
)
# fmt: on
_MOST_ARGUMENTS = 4_000
"""What a script can hand to one command."""

Command = Sequence[str | bytes | int | float]


def packed(commands: Sequence[Command]) -> bytes:
    """
    As the settle script reads them.

    Raises:
        ConfigurationError: one isn't allowed.
    """
    return b"".join(_packed(command) for command in commands)


def _packed(command: Command) -> bytes:
    name = str(command[0]).lower() if command else ""
    if name not in ALLOWED:
        raise ConfigurationError(
            f"effect='redis' can't carry out {name.upper()!r}: only commands that write to named keys at once, such as "
            "SET, HSET, INCRBY, LPUSH or XADD"
        )
    if len(command) > _MOST_ARGUMENTS:
        raise ConfigurationError(
            f"effect='redis' can't carry out {name.upper()} with {len(command):,} arguments; "
            f"split it, {_MOST_ARGUMENTS:,} are the most"
        )
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    sized = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    return len(parts).to_bytes(2, "little") + sized
