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

# By MINID below what any group needs and what the queue retains, never by MAXLEN, which would count and not ask.
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
  local retention = tonumber(redis.call('HGET', stream .. ':settings', 'retention') or 0)
  if retention > 0 then
    local time = redis.call('TIME')
    local from = string.format('%.0f-0', time[1] * 1000 + math.floor(time[2] / 1000) - retention)
    if before(from, keep) then keep = from end
  end
  redis.call('XTRIM', stream, 'MINID', '=', keep)
end
"""

RING = """
local function ring(bell)
  redis.call('XADD', bell, 'MAXLEN', 1, '*', 'r', 1)
end
"""

# What is given back belongs to the consumer `~` until somebody takes it.
GIVE_BACK = (
    RING
    + """
local function member_of(name) return name ~= '~' and name end
local function has_back(stream, group)
  return #redis.call('XPENDING', stream, group, '-', '+', 1, '~')
end
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
"""
)

# An entry without a lane, such as another program's, is in the first.
LANE = """
local function lane_of(fields)
  return fields and fields[1] == 'tickrelay-lane' and fields[2]:match('^%d%d?%d?%d?$') or '0'
end
"""

# The same for a queue with lanes: what member M holds of lane 3 belongs to the consumer `M/3`, what is set aside of it
# to `~/3`.
GIVE_BACK_LANES = (
    RING
    + LANE
    + """
local function member_of(name) return name:sub(1, 1) ~= '~' and name:match('^[^/]+') end
local function has_back(stream, group) return redis.call('SCARD', stream .. ':aside:' .. group) end
local function set_aside(stream, group, id, lane)
  if not lane then
    local entry = redis.call('XRANGE', stream, id, id)[1]
    lane = lane_of(entry and entry[2])
  end
  redis.call('XCLAIM', stream, group, '~/' .. lane, 0, id, 'JUSTID')
  redis.call('SADD', stream .. ':aside:' .. group, lane)
end
local function give_back_of(stream, group, name, keep)
  local moved, kept, from = 0, false, '-'
  while moved < 5000 do
    local rows = redis.call('XPENDING', stream, group, from, '+', 1000, name)
    if #rows == 0 then
      if not kept then redis.call('XGROUP', 'DELCONSUMER', stream, group, name) end
      return moved, true
    end
    for _, row in ipairs(rows) do
      if keep[row[1]] then
        kept = true
      else
        set_aside(stream, group, row[1], name:match('/(%d+)$'))
        moved = moved + 1
      end
    end
    from = '(' .. rows[#rows][1]
  end
  return moved, false
end
local function give_back(stream, group, member, keep)
  local total = 0
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local name = map(flat).name
    if member_of(name) == member then
      local moved, all = give_back_of(stream, group, name, keep or {})
      total = total + moved
      if not all then return total, false end
    end
  end
  if not keep then redis.call('ZREM', stream .. ':asking:' .. group, member) end
  return total, true
end
"""
)

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
