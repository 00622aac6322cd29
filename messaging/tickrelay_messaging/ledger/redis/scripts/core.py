# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What every script begins with: the epoch is checked, the time is read, and rows are taken apart and put together.

A row (hashes `claimed` and `parked`, by key) is binary: fence 8, owner 4, route 2, attempt 2, crashes 1, flags 1,
state 1, due 8 (a double), mark bits 1, batch 3, digest 6, source 4, length of extras 2, extras (JSON), message id.
"""

from __future__ import annotations

CORE = """
local P, call = KEYS[1], redis.call
local meta = call('HMGET', P .. 'meta', 'id', 'fence', 'history', 'hb', 'width')
if meta[1] ~= ARGV[1] then return redis.error_reply('NOEPOCH ' .. (meta[1] or 'none')) end
local pack, take, byte, sub, char = struct.pack, struct.unpack, string.byte, string.sub, string.char
local floor, format, insert = math.floor, string.format, table.insert
local now = tonumber(ARGV[2])
if not now then
  local time = call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
local CLAIMED, WAITING, DEAD, ORPHAN = 1, 2, 3, 4
local DONE, EXPIRED, REVOKED, DISCARDED, SKIPPED = 1, 2, 3, 4, 5
local NAMES = {'done', 'expired', 'revoked', 'discarded', 'skipped'}
local HELD, SUSPECT, STEPS, AMBIGUOUS, WAITED = 1, 2, 4, 8, 16
local HEADER = '<I8I4I2I2BBBd'
local work, outcomes = false, false

local function has(flags, bit) return floor(flags / bit) % 2 == 1 end
local function with(flags, bit) return has(flags, bit) and flags or flags + bit end
local function text(number) return format('%.6f', number) end

local function parse(raw)
  local row = {}
  row.fence, row.owner, row.route, row.attempt, row.crashes, row.flags, row.state, row.due = take(HEADER, raw)
  row.tail = sub(raw, 28)
  row.batch = take('<I3', raw, 29)
  return row
end
local function raw_of(row)
  return pack(HEADER, row.fence, row.owner, row.route, row.attempt, row.crashes, row.flags, row.state, row.due)
    .. row.tail
end
local function id_of(row) return sub(row.tail, 17 + take('<I2', row.tail, 15)) end
local function extra_of(row)
  if row.extra == nil then
    local size = take('<I2', row.tail, 15)
    row.extra = size > 0 and cjson.decode(sub(row.tail, 17, 16 + size)) or false
  end
  return row.extra
end
local function keep_extra(row)
  local id, written = id_of(row), cjson.encode(row.extra)
  row.tail = sub(row.tail, 1, 14) .. pack('<I2', #written) .. written .. id
end
local function rebatch(row, batch)
  local bits = byte(row.tail, 1)
  row.batch = batch
  row.tail = char(with(bits, 1)) .. pack('<I3', batch) .. sub(row.tail, 5)
end

local function put(key, row)
  local here, there = 'parked', 'claimed'
  if row.state == CLAIMED then here, there = there, here end
  call('HDEL', P .. there, key)
  call('HSET', P .. here, key, raw_of(row))
end
local function known(key)
  local raw = call('HGET', P .. 'claimed', key) or call('HGET', P .. 'parked', key)
  return raw and parse(raw)
end

local totals, tallies = {}, {}
local function add(where, name, number) where[name] = (where[name] or 0) + number end
local function count(batch, route, name, number)
  add(totals, route .. ':' .. name, number)
  if batch > 0 then
    tallies[batch] = tallies[batch] or {}
    add(tallies[batch], route .. ':' .. name, number)
  end
end
local function move(old, new, route, name)
  outcomes = true
  for batch, number in pairs({[old] = -1, [new] = 1}) do
    if batch > 0 then
      tallies[batch] = tallies[batch] or {}
      add(tallies[batch], route .. ':' .. name, number)
    end
  end
end
local function write_counts(key, counts)
  for name, number in pairs(counts) do
    if number ~= 0 then call('HINCRBY', key, name, number) end
  end
end

local function next_fence()
  local fence = math.max(floor(now * 1e6), tonumber(meta[2] or 0) + 1)
  call('HSET', P .. 'meta', 'fence', format('%.0f', fence))
  return fence
end
"""

FINISH = """
local function finish()
  write_counts(P .. 'totals', totals)
  for batch, counts in pairs(tallies) do write_counts(P .. 'tally:' .. batch, counts) end
  if buckets_written then buckets_written() end
  if outcomes then call('PUBLISH', P .. 'outcomes', '') end
  if work then call('PUBLISH', P .. 'work', '') end
end
"""
