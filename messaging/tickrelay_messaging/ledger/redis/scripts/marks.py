# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Done-marks: what came to its end, in small hashes of about 80 ids, which Redis keeps as flat lists (28 bytes an id).

A group's marks of half a retention are one bucket, so that there are mostly three. Its hashes grow one at a time
(linear hashing): one that is split moves half its ids to a new one, so nothing ever stands still for a big table.

A mark's value: state and bits 1, number in the history 4, then batch 3 and digest 6 if the bits say so.
"""

from __future__ import annotations

MARKS = """
local FILL, HISTORY = 80, 10800
local groups = {}
local function bucket_of(group, number, value)
  local bucket = {number = number, base = P .. 'd:' .. group .. ':' .. number .. ':'}
  bucket.stop, bucket.slots, bucket.count = take('<dI4I8', value)
  bucket.double = 2
  while bucket.double <= bucket.slots do bucket.double = bucket.double * 2 end
  return bucket
end
local function group_of(group)
  if groups[group] then return groups[group] end
  local list, flat = {}, call('HGETALL', P .. 'buckets:' .. group)
  for i = 1, #flat, 2 do list[#list + 1] = bucket_of(group, flat[i], flat[i + 1]) end
  table.sort(list, function(a, b) return tonumber(a.number) > tonumber(b.number) end)
  groups[group] = list
  return list
end
-- Three bytes rather than digits: Lua takes twice as long to write a number down.
local function slot_name(bucket, slot) return bucket.base .. pack('<I3', slot) end
local function slot_of(bucket, key)
  local hash = take('<I4', key)
  local slot = hash % bucket.double
  if slot >= bucket.slots then slot = hash % (bucket.double / 2) end
  return bucket.base .. pack('<I3', slot)
end
local function find_mark(group, key)
  for _, bucket in ipairs(group_of(group)) do
    local slot = slot_of(bucket, key)
    local value = call('HGET', slot, key)
    if value then return value, slot end
  end
end
local function split(bucket)
  local from, to = bucket.slots - bucket.double / 2, bucket.slots
  local flat, moved, gone = call('HGETALL', slot_name(bucket, from)), {}, {}
  for i = 1, #flat, 2 do
    if take('<I4', flat[i]) % bucket.double == to then
      insert(moved, flat[i])
      insert(moved, flat[i + 1])
      insert(gone, flat[i])
    end
  end
  if #gone > 0 then
    call('HSET', slot_name(bucket, to), unpack(moved))
    call('HDEL', slot_name(bucket, from), unpack(gone))
  end
  bucket.slots = bucket.slots + 1
  if bucket.slots == bucket.double then bucket.double = bucket.double * 2 end
end
local function open_bucket(group)
  local list = group_of(group)
  if not list[1] or list[1].stop <= now then
    local number = format('%.0f', call('HINCRBY', P .. 'meta', 'bucket', 1))
    local stop = now + tonumber(meta[5] or 43200)
    insert(list, 1, bucket_of(group, number, pack('<dI4I8', stop, 1, 0)))
  end
  return list[1]
end
local function mark_in(bucket, key, value)
  call('HSET', slot_of(bucket, key), key, value)
  bucket.count = bucket.count + 1
  bucket.dirty = true
  if bucket.count > bucket.slots * FILL then split(bucket) end
end
local function mark(group, key, value) mark_in(open_bucket(group), key, value) end
local function buckets_written()
  for group, list in pairs(groups) do
    for _, bucket in ipairs(list) do
      if bucket.dirty then
        call('HSET', P .. 'buckets:' .. group, bucket.number, pack('<dI4I8', bucket.stop, bucket.slots, bucket.count))
      end
    end
  end
end

local history, page = tonumber(meta[3] or 0), tonumber(meta[4] or 0)
local function turn_page()
  if floor(now / HISTORY) > page then
    page = floor(now / HISTORY)
    call('HSET', P .. 'histories', page, format('%.0f', history + 1))
    call('HSET', P .. 'meta', 'hb', page)
  end
end
local function list_batch(batch, number)
  call('SADD', P .. 'hbs:' .. page, batch)
  call('RPUSH', P .. 'hb:' .. page .. ':' .. batch, number)
end
local function record(blob, batches)
  turn_page()
  history = history + 1
  local number = format('%.0f', history)
  call('HSET', P .. 'h:' .. page, number, blob)
  call('HSET', P .. 'meta', 'history', number)
  for batch in pairs(batches) do
    if batch > 0 then list_batch(batch, number) end
  end
end
local function fail(key, attempt, what, by, failure)
  turn_page()
  local line = cjson.encode({text(now), attempt, what, by}) .. '\\t' .. failure .. '\\n'
  call('HSET', P .. 'f:' .. page, key, (call('HGET', P .. 'f:' .. page, key) or '') .. line)
end
local function mark_value(code, row)
  local bits = byte(row.tail, 1)
  local rest = ''
  if bits % 2 == 1 then rest = sub(row.tail, 2, 4) end
  if bits >= 2 then rest = rest .. sub(row.tail, 5, 10) end
  return char(code + 16 * bits) .. pack('<I4', history + 1) .. rest
end
-- One that ends by itself, beside the beaten track. Its row, if there is one, is the caller's to remove.
local function come_to_end(key, row, group, code, by)
  mark(group, key, mark_value(code, row))
  local entry = {i = id_of(row), s = take('<I4', row.tail, 11), r = row.route, a = row.attempt, b = row.batch,
    e = text(now), o = by, z = code}
  record('J' .. cjson.encode(entry), {[row.batch] = true})
  count(row.batch, row.route, NAMES[code], 1)
  outcomes = true
end
"""
