# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis broker's Lua scripts for whoever looks at a queue or empties it; see `scripts`."""

from __future__ import annotations

from tickrelay_messaging.brokers.redis.lua import EVEN_IF_FULL, LAG, MAP, NOW, OLDEST, ORDER, TRIM

STATS = (
    MAP
    + NOW
    + ORDER
    + OLDEST
    + LAG
    + """
-- keys: stream, bell, members without the group. Answers a row a group.
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return redis.error_reply('UNKNOWNQUEUE') end
local added, rows = map(redis.call('XINFO', 'STREAM', KEYS[1]))['entries-added'], {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = map(flat)
  local members, back = KEYS[3] .. group.name, 0
  for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group.name)) do
    local consumer = map(one)
    local lease = redis.call('ZSCORE', members, consumer.name:match('^[^/]*'))
    if consumer.name:sub(1, 1) == '~' or (lease and tonumber(lease) <= now) then back = back + consumer.pending end
  end
  local first = oldest(KEYS[1], group)
  local age = first and math.max(0, now - tonumber(first:match('%d+'))) or -1
  local alive = redis.call('ZCOUNT', members, '(' .. now, '+inf')
  rows[#rows + 1] = {group.name, lag(KEYS[1], group) + back, group.pending - back, age, alive, added}
end
return rows
"""
)

# What is on the queue: pending in some group, or not yet handed to some group.
PEEK = (
    MAP
    + ORDER
    + """
-- keys: stream, bell; args: after, limit. Answers entries, and the ids of those that somebody holds.
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return redis.error_reply('UNKNOWNQUEUE') end
local from, limit = '(' .. ARGV[1], tonumber(ARGV[2])
local delivered, held, wanted, ids = nil, {}, {}, {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = map(flat)
  local last = group['last-delivered-id']
  if not delivered or before(last, delivered) then delivered = last end
  for _, row in ipairs(redis.call('XPENDING', KEYS[1], group.name, from, '+', limit)) do
    wanted[row[1]] = true
    if row[2]:sub(1, 1) ~= '~' then held[row[1]] = true end
  end
end
if delivered then
  if before(delivered, ARGV[1]) then delivered = ARGV[1] end
  for _, row in ipairs(redis.call('XRANGE', KEYS[1], '(' .. delivered, '+', 'COUNT', limit)) do
    wanted[row[1]] = true
  end
end
for id in pairs(wanted) do ids[#ids + 1] = id end
table.sort(ids, before)
local entries, holders = {}, {}
for _, id in ipairs(ids) do
  local row = redis.call('XRANGE', KEYS[1], id, id)[1]
  if row and #entries < limit then
    entries[#entries + 1] = row
    if held[id] then holders[#holders + 1] = id end
  end
end
return {entries, holders}
"""
)

PURGE = (
    EVEN_IF_FULL
    + MAP
    + ORDER
    + OLDEST
    + TRIM
    + LAG
    + """
-- keys: stream, bell; args: group. Answers how many were dropped.
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return redis.error_reply('UNKNOWNQUEUE') end
local dropped = nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = map(flat)
  if group.name == ARGV[1] then dropped = lag(KEYS[1], group) end
end
if not dropped then return redis.error_reply('UNKNOWNQUEUE') end
local added = map(redis.call('XINFO', 'STREAM', KEYS[1]))['entries-added']
redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], '$', 'ENTRIESREAD', added)
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local name = map(flat).name
  while name:sub(1, 1) == '~' do
    local rows, ids = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, name), {}
    if #rows == 0 then break end
    for i, row in ipairs(rows) do ids[i] = row[1] end
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
    dropped = dropped + #ids
  end
end
trim(KEYS[1])
return dropped
"""
)
