# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Consumers join, stay, leave and die."""

from __future__ import annotations

# args: epoch, clock, name, host, pid, lease, routes...
ENROLL = """
local number = call('HINCRBY', P .. 'meta', 'owner', 1)
local owner = {n = ARGV[3], h = ARGV[4], p = ARGV[5], l = ARGV[6], s = text(now)}
call('HSET', P .. 'owners', number, cjson.encode(owner))
call('HSET', P .. 'renewed', number, text(now))
for i = 7, #ARGV do call('HSET', P .. 'seen', ARGV[i], text(now)) end
return number
"""

RENEW = """
if call('HEXISTS', P .. 'owners', ARGV[3]) == 0 then return redis.error_reply('NOOWNER') end
call('HSET', P .. 'renewed', ARGV[3], text(now))
return 1
"""

# args: epoch, clock, owner's number
RETIRE = """
local mine, flat = tonumber(ARGV[3]), call('HGETALL', P .. 'claimed')
for i = 1, #flat, 2 do
  if take('<I4', flat[i + 1], 9) == mine then give_back(flat[i], parse(flat[i + 1])) end
end
call('HDEL', P .. 'owners', ARGV[3])
call('HDEL', P .. 'renewed', ARGV[3])
work = true
finish()
return 1
"""

# args: epoch, clock. Answers how many claims changed hands.
REAP = """
local dead, any, changed = {}, false, 0
local owners = call('HGETALL', P .. 'owners')
for i = 1, #owners, 2 do
  local about = cjson.decode(owners[i + 1])
  if tonumber(call('HGET', P .. 'renewed', owners[i])) + tonumber(about.l) < now then
    dead[tonumber(owners[i])] = {name = about.n, rows = {}}
    any = true
  end
end
if not any then return 0 end
local flat = call('HGETALL', P .. 'claimed')
for i = 1, #flat, 2 do
  local owner = dead[take('<I4', flat[i + 1], 9)]
  if owner then insert(owner.rows, {flat[i], parse(flat[i + 1])}) end
end
for number, owner in pairs(dead) do
  for _, pair in ipairs(owner.rows) do
    bury_claim(pair[1], pair[2], owner.name, #owner.rows == 1)
    changed = changed + 1
  end
  call('HDEL', P .. 'owners', number)
  call('HDEL', P .. 'renewed', number)
end
work, outcomes = true, true
finish()
return changed
"""
