# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The Redis broker's Lua scripts for consumers of a queue with lanes; `scripts` says what the keys hold.

All lanes share the queue's stream, and every entry names its own. Whoever asks reads on in the stream, for everybody:
an entry of a lane that somebody holds, or that isn't the asker's to take, is set aside for whoever may have it. A lane
is held by a consumer as long as that has an entry of it that isn't acknowledged, which the server itself knows: these
belong to the group's consumer `M/3`, for member M and lane 3, and what was set aside of lane 3 to `~/3`.

So no lane is ever assigned. But who asks takes no more than its share, the lanes divided by the consumers that want
messages; what it holds beyond that, after another one came, it works off and gets nothing more of.
"""

from __future__ import annotations

from tickrelay_messaging.brokers.redis.lua import (
    EVEN_IF_FULL,
    GIVE_BACK_LANES,
    LANE,
    MAP,
    NOW,
    OLDEST,
    ORDER,
    RING,
    TRIM,
)

# `may` is made as lanes are asked about, so that nothing is asked about those with nothing in them.
_SHARE = """
local stream, group, member, limit = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local owners, aside, asking = stream .. ':owners:' .. group, stream .. ':aside:' .. group, stream .. ':asking:' .. group
local function first_of(name, lane)
  local row = redis.call('XPENDING', stream, group, '-', '+', 1, name .. '/' .. lane)[1]
  return row and row[1]
end
redis.call('XPENDING', stream, group, '-', '+', 1, '~')  -- refuses before anything is written for a group that is gone
redis.call('ZADD', asking, now + ARGV[5], member)
local share = math.ceil(ARGV[4] / redis.call('ZCOUNT', asking, now, '+inf'))
local owner, may, mine = map(redis.call('HGETALL', owners)), {}, {}
for lane, name in pairs(owner) do
  if name == member and first_of(member, lane) then mine[#mine + 1] = lane end
end
table.sort(mine, function(a, b) return tonumber(a) < tonumber(b) end)
for i, lane in ipairs(mine) do may[lane] = i <= share end
local count = #mine
local function is_ours(lane)
  if may[lane] == nil then
    local other = owner[lane] ~= member and owner[lane]
    may[lane] = count < share and not (other and first_of(other, lane))
    if may[lane] then
      count = count + 1
      redis.call('HSET', owners, lane, member)
    end
  end
  return may[lane]
end
"""

_CLAIM = """
local function claim(name, lane, ids, ...)
  local call = {'XCLAIM', stream, group, name .. '/' .. lane, 0}
  for _, id in ipairs(ids) do call[#call + 1] = id end
  for _, word in ipairs({...}) do call[#call + 1] = word end
  return redis.call(unpack(call))
end
"""

TAKE = (
    EVEN_IF_FULL
    + MAP
    + NOW
    + ORDER
    + LANE
    + _SHARE
    + _CLAIM
    + """
-- keys: stream, bell; args: group, member, limit, lanes, for how many ms it asks. Answers entries, each with its lane
-- and how often it was handed out before; whether to ask again at once; and, where both are no, what to wait behind.
local rows, waiting, behind, looked = {}, {}, {}, 0
for _, lane in ipairs(redis.call('SMEMBERS', aside)) do
  behind[lane] = first_of('~', lane)
  if behind[lane] then waiting[#waiting + 1] = lane else redis.call('SREM', aside, lane) end
end
table.sort(waiting, function(a, b) return before(behind[a], behind[b]) end)
for _, lane in ipairs(waiting) do
  local left = limit - #rows
  if left > 0 and is_ours(lane) then
    local ids, times = {}, {}
    for i, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', left, '~/' .. lane)) do
      ids[i], times[row[1]] = row[1], row[4]
    end
    for _, row in ipairs(claim(member, lane, ids)) do rows[#rows + 1] = {row[1], row[2], lane, times[row[1]]} end
    if #ids < left then
      redis.call('SREM', aside, lane)
      behind[lane] = nil
    end
  end
end
while #rows < limit and looked < 2000 do
  local found = redis.call('XREADGROUP', 'GROUP', group, member, 'COUNT', limit - #rows, 'STREAMS', stream, '>')
  if not found then break end
  local ours, others = {}, {}
  for _, row in ipairs(found[1][2]) do
    local lane = lane_of(row[2])
    local to = others
    if not behind[lane] and is_ours(lane) then
      rows[#rows + 1] = {row[1], row[2], lane, 0}
      to = ours
    end
    to[lane] = to[lane] or {}
    table.insert(to[lane], row[1])
  end
  for lane, ids in pairs(ours) do claim(member, lane, ids, 'JUSTID') end
  for lane, ids in pairs(others) do
    claim('~', lane, ids, 'RETRYCOUNT', 0, 'JUSTID')
    redis.call('SADD', aside, lane)
    behind[lane] = ids[1]
  end
  looked = looked + #found[1][2]
end
if #rows > 0 or looked >= 2000 then return {rows, 1} end
local function last_of(key) return map(redis.call('XINFO', 'STREAM', key))['last-generated-id'] end
return {rows, 0, last_of(stream), last_of(KEYS[2])}
"""
)

ACKNOWLEDGE = (
    EVEN_IF_FULL
    + MAP
    + RING
    + ORDER
    + OLDEST
    + TRIM
    + """
-- keys: stream, bell; args: group, member, trim or not, and a lane and an id for each
local stream, group, member = KEYS[1], ARGV[1], ARGV[2]
local lanes, free = {}, false
for i = 4, #ARGV, 2 do
  lanes[ARGV[i]] = lanes[ARGV[i]] or {}
  table.insert(lanes[ARGV[i]], ARGV[i + 1])
end
for lane, ids in pairs(lanes) do
  local own, held, name = {}, {}, member .. '/' .. lane
  for _, row in ipairs(redis.call('XPENDING', stream, group, ids[1], ids[#ids], 2 * #ids, name)) do
    own[row[1]] = true
  end
  for _, id in ipairs(ids) do
    own[id] = own[id] or redis.call('XPENDING', stream, group, id, id, 1, name)[1]
    if own[id] then held[#held + 1] = id end
  end
  if #held > 0 then redis.call('XACK', stream, group, unpack(held)) end
  if #redis.call('XPENDING', stream, group, '-', '+', 1, name) == 0 then
    local owners = stream .. ':owners:' .. group
    if redis.call('HGET', owners, lane) == member then redis.call('HDEL', owners, lane) end
    free = free or redis.call('SCARD', stream .. ':aside:' .. group) > 0
  end
end
if free then ring(KEYS[2]) end
if ARGV[3] == '1' then trim(stream) end
return 1
"""
)

UNHEARD = (
    EVEN_IF_FULL
    + MAP
    + GIVE_BACK_LANES
    + """
-- keys: stream, bell; args: group, member, and the ids it knows of... Answers 1 when everything else was given back.
local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local moved, all = give_back(KEYS[1], ARGV[1], ARGV[2], known)
if moved > 0 then ring(KEYS[2]) end
return all and 1 or 0
"""
)
