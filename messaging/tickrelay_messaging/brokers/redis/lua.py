# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the Redis broker's scripts share: each piece defines one or two Lua functions, some call those before them."""

from __future__ import annotations

# Whoever consumes makes room, so his scripts run when there is none left.
EVEN_IF_FULL = "#!lua flags=allow-oom\n"

MAP = """
local function map(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end
"""

# Sequence numbers have 64 bits, more than a Lua number holds, so they are compared as texts.
ORDER = """
local function before(a, b)
  local a_ms, a_n = a:match('(%d+)-(%d+)')
  local b_ms, b_n = b:match('(%d+)-(%d+)')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  if #a_n ~= #b_n then return #a_n < #b_n end
  return a_n < b_n
end
"""

# The oldest entry a group still needs, or nil: pending, or the next one nobody was handed.
OLDEST = """
local function oldest(stream, group)
  local found = nil
  if group.pending > 0 then found = redis.call('XPENDING', stream, group.name)[2] end
  local undelivered = redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
  if undelivered and (not found or before(undelivered[1], found)) then found = undelivered[1] end
  return found
end
"""

# By MINID below what any group needs, never by MAXLEN, which would count and not ask.
TRIM = """
local function trim(stream)
  local keep, last = nil, map(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
  local groups = redis.call('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups) do
    local needed = oldest(stream, map(flat))
    if needed and (not keep or before(needed, keep)) then keep = needed end
  end
  if #groups == 0 then return end
  keep = keep or string.format('%.0f-0', tonumber(last:match('%d+')) + 1)
  redis.call('XTRIM', stream, 'MINID', '=', keep)
end
"""

GIVE_BACK = """
local function give_back(stream, group, member)
  local moved = 0
  while moved < 20000 do
    local rows = redis.call('XPENDING', stream, group, '-', '+', 1000, member)
    if #rows == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, member)
      return moved, true
    end
    local ids = {}
    for i, row in ipairs(rows) do ids[i] = row[1] end
    ids[#ids + 1] = 'JUSTID'
    redis.call('XCLAIM', stream, group, '~', 0, unpack(ids))
    moved = moved + #rows
  end
  return moved, false
end
local function ring(bell)
  redis.call('XADD', bell, 'MAXLEN', 1, '*', 'r', 1)
end
"""

NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# Foreign XDELs make the server lose count; then the entries are counted.
LAG = """
local function lag(stream, group)
  if group.lag then return group.lag end
  local count, from = 0, '(' .. group['last-delivered-id']
  while true do
    local rows = redis.call('XRANGE', stream, from, '+', 'COUNT', 1000)
    count = count + #rows
    if #rows < 1000 then return count end
    from = '(' .. rows[#rows][1]
  end
end
"""
