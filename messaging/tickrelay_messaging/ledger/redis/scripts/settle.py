# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ending claims, each only while its fence holds; storing payloads of those that take long; steps."""

from __future__ import annotations

# args: epoch, clock, owner's name, the history's page, for each settlement verdict 1, fence 8, owner 4 and key 16, all
# in one, then what is special (size 4, JSON, size 4, payload, commands) of those whose verdict isn't D, plainly done.
# Answers a letter each: 2 done, 1 accepted otherwise, 0 refused.
SETTLE = """
local name, blob, heads = ARGV[3], ARGV[4], ARGV[5]
local keys, results, specials = {}, {}, 5
for i = 1, #heads / 29 do keys[i] = sub(heads, 29 * i - 15, 29 * i) end
local claimed = call('HMGET', P .. 'claimed', unpack(keys))
local gone, batches, buckets = {}, {}, {}
local number = pack('<I4', history + 1)
local seen, ends, any = {}, {}, false
local plain = {}
for bits = 0, 3 do plain[bits] = char(DONE + 16 * bits) .. number end

local function split_special(special)
  if special == '' then return {}, '', '' end
  local size = take('<I4', special)
  local payload_size = take('<I4', special, 5 + size)
  return cjson.decode(sub(special, 5, 4 + size)), sub(special, 9 + size, 8 + size + payload_size),
    sub(special, 9 + size + payload_size)
end
local function carry_out(commands)
  local at, done = 1, 0
  while at <= #commands do
    local parts, count_of = {}, take('<I2', commands, at)
    at = at + 2
    for i = 1, count_of do
      local size = take('<I4', commands, at)
      parts[i] = sub(commands, at + 4, at + 3 + size)
      at = at + 4 + size
    end
    local answer = redis.pcall(unpack(parts))
    if type(answer) == 'table' and answer.err then
      local said = 'command ' .. (done + 1) .. ' (' .. parts[1] .. ') failed after ' .. done
      return said .. ' were carried out: ' .. answer.err
    end
    done = done + 1
  end
end
local function cold(key, row, verdict, special)
  local given, payload, commands = split_special(special)
  local failure = given.f or ''
  if verdict == 'E' then
    local refused = carry_out(commands)
    if not refused then return true end
    hold(key, row, payload)
    local said = cjson.encode({k = 'CommandRefused', x = refused, t = ''})
    fail(key, row.attempt, 'failed', name, said)
    die(key, row, 'failed', source_of(row), said)
    return false
  elseif verdict == 'B' then
    give_back(key, row, payload)
    return false
  end
  hold(key, row, payload)
  fail(key, row.attempt, verdict == 'C' and 'crashed' or 'failed', name, failure)
  if verdict == 'C' then
    row.crashes, row.flags = row.crashes + 1, with(row.flags, AMBIGUOUS)
    count(0, row.route, 'crashes', 1)
  end
  if verdict == 'X' or row.crashes >= 3 then
    die(key, row, verdict == 'X' and 'failed' or 'poison', source_of(row), failure)
    return false
  end
  if verdict == 'T' then
    row.attempt = row.attempt + 1
    count(0, row.route, 'retried', 1)
    if given.m then row.flags = with(row.flags, AMBIGUOUS) end
  end
  wait_until(key, row, tonumber(given.d))
  return false
end

for i, key in ipairs(keys) do
  local at, raw, result = 29 * i - 28, claimed[i], '0'
  local verdict, special = byte(heads, at), nil
  if verdict ~= 68 then
    specials = specials + 1
    special = ARGV[specials]
  end
  if raw and not seen[key] and sub(raw, 1, 12) == sub(heads, at + 1, at + 12) then
    seen[key] = true
    result = '1'
    local row, is_done = nil, true
    if special then
      row = parse(raw)
      is_done = cold(key, row, char(verdict), special)
    end
    if is_done then
      local bits, where, value = byte(raw, 28), sub(raw, 13, 14), nil
      local bucket = buckets[where]
      if not bucket then
        bucket = open_bucket(group_by(take('<I2', where)))
        buckets[where] = bucket
      end
      if bits == 0 then
        value = plain[0]
      else
        where = where .. sub(raw, 29, 31)
        value = plain[bits] .. (bits == 3 and sub(raw, 29, 37) or bits == 1 and sub(raw, 29, 31) or sub(raw, 32, 37))
      end
      mark_in(bucket, key, value)
      ends[where] = (ends[where] or 0) + 1
      any = true
      result = '2'
      local low, high = byte(raw, 42, 43)
      if byte(raw, 18) ~= 0 or low ~= 0 or high ~= 0 then
        forget(key, row or parse(raw))
      else
        gone[#gone + 1] = key
      end
    end
  end
  results[i] = result
end
if #gone > 0 then call('HDEL', P .. 'claimed', unpack(gone)) end
for where, times in pairs(ends) do
  local route, batch = take('<I2', where), 0
  if #where > 2 then batch = take('<I3', where, 3) end
  count(batch, route, 'done', times)
  batches[batch] = true
end
if any then
  record('Z' .. pack('<dI2I2', now, #keys, #name) .. table.concat(results) .. name .. blob, batches)
  outcomes = true
end
finish()
return table.concat(results)
"""

# args: epoch, clock, owner (4 bytes), then for each claim its fence 8, key 16 and payload in one.
HOLD = """
local results = {}
for i = 4, #ARGV do
  local key = sub(ARGV[i], 9, 24)
  local raw = call('HGET', P .. 'claimed', key)
  results[i - 3] = '0'
  if raw and sub(raw, 1, 8) == sub(ARGV[i], 1, 8) and sub(raw, 9, 12) == ARGV[3] then
    local row = parse(raw)
    hold(key, row, sub(ARGV[i], 25))
    put(key, row)
    results[i - 3] = '1'
  end
end
finish()
return table.concat(results)
"""

# args: epoch, clock, owner (4 bytes), fence 8 and key 16, name, result
PUT_STEP = """
local key = sub(ARGV[4], 9, 24)
local raw = call('HGET', P .. 'claimed', key)
if not raw or sub(raw, 1, 8) ~= sub(ARGV[4], 1, 8) or sub(raw, 9, 12) ~= ARGV[3] then return 0 end
local row = parse(raw)
row.flags = with(row.flags, STEPS)
put(key, row)
call('HSETNX', P .. 'steps:' .. key, ARGV[5], ARGV[6])
return 1
"""
