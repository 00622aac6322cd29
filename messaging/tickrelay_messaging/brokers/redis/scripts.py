# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The Redis broker's Lua scripts: each runs at one moment, and either refuses before it writes or does all of it.

They travel as `EVAL` with their text. That costs some hundred bytes a batch, and there is no cache a restarted server
could have lost, nor a right to `SCRIPT LOAD` to give away.

Keys of a queue, with the prefix in front; the braces keep them together in a cluster:

=============================  =================================================================================
`tickrelay:queues`             set of the names of all queues
`tickrelay:{orders}`           the stream; an entry stays until every group has acknowledged it, and for the retention
`tickrelay:{orders}:settings`  hash with the number of `lanes` and the `retention` in ms
`tickrelay:{orders}:bell`      a stream that says "something was given back"; consumers read it beside the other
`tickrelay:{orders}:members:G` group G's live consumers, each with the server time in ms its lease ends at
`tickrelay:{orders}:owners:G`  of a queue with lanes: hash of lanes and who held them last
`tickrelay:{orders}:asking:G`  and who of the consumers wants messages, each with the server time in ms until when
`tickrelay:{orders}:aside:G`   and the set of lanes of which something was set aside or given back
=============================  =================================================================================

What a consumer gives back, or what is taken from a dead one, belongs to the consumer `~` until somebody takes it.
"""

from __future__ import annotations

from tickrelay_messaging.brokers.redis.lua import (
    EVEN_IF_FULL,
    GIVE_BACK,
    GIVE_BACK_LANES,
    MAP,
    NOW,
    OLDEST,
    ORDER,
    TRIM,
)

PUT = """
-- keys: stream, bell, settings; args: lanes, then for every message the number of its names and values, and those
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return redis.error_reply('UNKNOWNQUEUE') end
local lanes = redis.call('HGET', KEYS[3], 'lanes') or '0'
if lanes ~= ARGV[1] then return redis.error_reply('OTHERLANES ' .. lanes) end
local at, last = 2, #ARGV
while at <= last do
  local count = tonumber(ARGV[at])
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
return 1
"""

ACKNOWLEDGE = (
    EVEN_IF_FULL
    + MAP
    + ORDER
    + OLDEST
    + TRIM
    + """
-- keys: stream; args: group, member, trim or not, ids... These mostly lie together, so one look finds most of them.
local own, held = {}, {}
for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[4], ARGV[#ARGV], 2 * #ARGV, ARGV[2])) do
  own[row[1]] = true
end
for i = 4, #ARGV do
  own[ARGV[i]] = own[ARGV[i]] or redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1]
  if own[ARGV[i]] then held[#held + 1] = ARGV[i] end
end
if #held > 0 then redis.call('XACK', KEYS[1], ARGV[1], unpack(held)) end
if ARGV[3] == '1' then trim(KEYS[1]) end
return #held
"""
)

TAKE = (
    EVEN_IF_FULL
    + GIVE_BACK
    + """
-- keys: stream, bell; args: group, member, limit. Answers how many were looked at, and those that still exist.
redis.call('XGROUP', 'DELCONSUMER', KEYS[2], ARGV[1], ARGV[2])
local rows = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], '~')
if #rows == 0 then return {0, {}} end
local ids = {}
for i, row in ipairs(rows) do ids[i] = row[1] end
if #ids == tonumber(ARGV[3]) then ring(KEYS[2]) end
return {#ids, redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))}
"""
)


def _beat(give_back: str) -> str:
    """
    `looked` is when somebody looked last. If nobody did for half a lease, the server was down or asleep and not its
    consumers dead: then everybody gets a whole lease to show up in. Consumers nobody knows get one when first seen.
    """
    return (
        EVEN_IF_FULL
        + MAP
        + NOW
        + give_back
        + ORDER
        + OLDEST
        + TRIM
        + """
-- keys: stream, bell, members; args: group, member, lease in ms. Answers whether messages wait to be taken again.
redis.call('XINFO', 'CONSUMERS', KEYS[2], ARGV[1])
local lease = tonumber(ARGV[3])
local until_then = now + lease
redis.call('ZADD', KEYS[3], until_then, ARGV[2])
local looked = -(redis.call('ZSCORE', KEYS[3], '') or 0)
if now - looked >= lease / 10 then
  redis.call('ZADD', KEYS[3], -now, '')
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local name = member_of(map(flat).name)
    if name then redis.call('ZADD', KEYS[3], 'NX', until_then, name) end
  end
  if now - looked > lease / 2 then
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], 0, '+inf')) do
      redis.call('ZADD', KEYS[3], until_then, name)
    end
  end
  local total = 0
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], 0, now)) do
    local moved, all = give_back(KEYS[1], ARGV[1], name)
    if all then
      redis.call('ZREM', KEYS[3], name)
      redis.call('XGROUP', 'DELCONSUMER', KEYS[2], ARGV[1], name)
    end
    total = total + moved
  end
  if total > 0 then ring(KEYS[2]) end
  trim(KEYS[1])
end
return has_back(KEYS[1], ARGV[1])
"""
    )


def _leave(give_back: str) -> str:
    return (
        EVEN_IF_FULL
        + MAP
        + give_back
        + ORDER
        + OLDEST
        + TRIM
        + """
-- keys: stream, bell, members; args: group, member. Answers 1 when everything was given back.
local moved, all = give_back(KEYS[1], ARGV[1], ARGV[2])
if has_back(KEYS[1], ARGV[1]) > 0 then ring(KEYS[2]) end
if not all then return 0 end
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('XGROUP', 'DELCONSUMER', KEYS[2], ARGV[1], ARGV[2])
trim(KEYS[1])
return 1
"""
    )


BEAT, LEAVE = _beat(GIVE_BACK), _leave(GIVE_BACK)
BEAT_LANES, LEAVE_LANES = _beat(GIVE_BACK_LANES), _leave(GIVE_BACK_LANES)
