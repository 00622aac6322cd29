# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis broker's Lua scripts that make and end queues and groups; `scripts` says what the keys hold."""

from __future__ import annotations

from tickrelay_messaging.brokers.redis.lua import EVEN_IF_FULL, MAP, OLDEST, ORDER, TRIM

DECLARE = (
    MAP
    + """
-- keys: queues, stream, bell, settings; args: queue, lanes, retention in ms or nothing, groups...
-- Answers -1, or the number of lanes there are where another one is wanted; then nothing was changed.
local known, added = {}, nil
if redis.call('EXISTS', KEYS[2]) == 1 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do known[map(flat).name] = true end
  if redis.call('EXISTS', KEYS[3]) == 1 then
    added = map(redis.call('XINFO', 'STREAM', KEYS[2]))['entries-added']
    local lanes = redis.call('HGET', KEYS[4], 'lanes') or '0'
    if ARGV[2] ~= '0' and ARGV[2] ~= lanes then return tonumber(lanes) end
  end
end
for i = 4, #ARGV do
  if not known[ARGV[i]] and added then
    redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[i], '$', 'ENTRIESREAD', added)
  elseif not known[ARGV[i]] then
    redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[i], '0', 'MKSTREAM')
  end
  known[ARGV[i]] = true
  local made = redis.pcall('XGROUP', 'CREATE', KEYS[3], ARGV[i], '$', 'MKSTREAM')
  if made.err and not made.err:find('BUSYGROUP') then return made end
end
if not added then redis.call('HSET', KEYS[4], 'lanes', ARGV[2]) end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[4], 'retention', ARGV[3]) end
redis.call('SADD', KEYS[1], ARGV[1])
return -1
"""
)

QUEUES = (
    MAP
    + """
-- keys: queues; args: prefix. Answers name, lanes and groups of every queue.
local rows = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local stream = ARGV[1] .. ':{' .. name .. '}'
  if redis.call('EXISTS', stream) == 1 then
    local groups = {}
    for i, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do groups[i] = map(flat).name end
    rows[#rows + 1] = {name, redis.call('HGET', stream .. ':settings', 'lanes') or '0', groups}
  end
end
return rows
"""
)

# A queue without groups would confirm messages nobody can ever get, so it goes with its last one.
FORGET = (
    EVEN_IF_FULL
    + MAP
    + ORDER
    + OLDEST
    + TRIM
    + """
-- keys: queues, stream, bell, settings; args: queue, group
local stream = KEYS[2]
if redis.call('EXISTS', stream, KEYS[3]) < 2 then return redis.error_reply('UNKNOWNQUEUE') end
local ended = redis.call('XGROUP', 'DESTROY', stream, ARGV[2])
redis.call('XGROUP', 'DESTROY', KEYS[3], ARGV[2])
for _, what in ipairs({'members', 'owners', 'asking', 'aside'}) do
  redis.call('UNLINK', stream .. ':' .. what .. ':' .. ARGV[2])
end
if #redis.call('XINFO', 'GROUPS', stream) > 0 then
  trim(stream)
elseif ended == 1 then
  redis.call('UNLINK', stream, KEYS[3], KEYS[4])
  redis.call('SREM', KEYS[1], ARGV[1])
end
return ended
"""
)

# The server counts what a group has read, but not up to an id in the middle; asked page by page, it can serve others.
COUNT = (
    MAP
    + """
-- keys: stream, bell; args: first and last id.
-- Answers how many went before all, how many are on this page, and where it ends.
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return redis.error_reply('UNKNOWNQUEUE') end
local stream = map(redis.call('XINFO', 'STREAM', KEYS[1]))
local rows = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', 500)
return {stream['entries-added'] - stream.length, #rows, #rows > 0 and rows[#rows][1] or ''}
"""
)

REPLAY = (
    MAP
    + """
-- keys: stream, bell, settings; args: group, id to begin behind, how many messages there were up to it
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return redis.error_reply('UNKNOWNQUEUE') end
if tonumber(redis.call('HGET', KEYS[3], 'retention') or 0) == 0 then return redis.error_reply('NORETENTION') end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2], 'ENTRIESREAD', ARGV[3])
redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[1], '$')
return 1
"""
)
