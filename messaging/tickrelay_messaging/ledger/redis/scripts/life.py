# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What becomes of a row: it waits, dies, is given back or leaves; keys in order (lanes) and singletons.

Only what may run is in `due:ROUTE` (or `alone:ROUTE`, suspects): of a lane, its first one.
"""

from __future__ import annotations

LIFE = """
local route_groups = {}
local function group_by(route)
  if not route_groups[route] then route_groups[route] = call('HGET', P .. 'groups', route) end
  return route_groups[route]
end

local function lane_of(row)
  local extra = extra_of(row)
  if extra and (extra.r == 'order' or extra.r == 'strict') then return P .. 'lane:' .. extra.l, extra.r end
end
local function single_of(row)
  local extra = extra_of(row)
  if extra and extra.r == 'singleton' then return extra.l end
end
local function queue_of(row)
  return P .. (has(row.flags, SUSPECT) and 'alone:' or 'due:') .. row.route
end
local function unqueue(key, row)
  call('ZREM', P .. 'due:' .. row.route, key)
  call('ZREM', P .. 'alone:' .. row.route, key)
end
local function enqueue(key, row)
  local lane = lane_of(row)
  if lane and extra_of(row).n and call('ZRANGE', lane, 0, 0)[1] ~= key then return end
  call('ZADD', queue_of(row), format('%.17g', row.due), key)
  work = true
end
local function promote(lane)
  local first = call('ZRANGE', lane, 0, 0)[1]
  local raw = first and call('HGET', P .. 'parked', first)
  if not raw then return end
  local row = parse(raw)
  if row.state == WAITING then enqueue(first, row) end
end
local function leave_lane(key, row)
  local lane = lane_of(row)
  if not lane then return end
  call('ZREM', lane .. ':later', key)
  if call('ZREM', lane, key) == 1 then promote(lane) end
end
local function join_lane(key, row)
  local lane = lane_of(row)
  if not lane then return end
  local extra = extra_of(row)
  if not extra.n then
    extra.n = call('HINCRBY', P .. 'meta', 'lane', 1)
    keep_extra(row)
  end
  call('ZADD', lane, extra.n, key)
end
-- What was parked for later takes its place in its lane once its instant has come, and holds nobody up before.
local function place_later(lane)
  for _, key in ipairs(call('ZRANGEBYSCORE', lane .. ':later', '-inf', format('%.17g', now))) do
    call('ZREM', lane .. ':later', key)
    local raw = call('HGET', P .. 'parked', key)
    if raw then
      local row = parse(raw)
      join_lane(key, row)
      put(key, row)
      if call('ZRANGE', lane, 0, 0)[1] ~= key then unqueue(key, row) end
    end
  end
end
local function free_single(key, row)
  local single = single_of(row)
  if single and call('HGET', P .. 'singles', single) == key then call('HDEL', P .. 'singles', single) end
end
local function note_schedule(key, row, is_waiting)
  local extra = extra_of(row)
  if extra and extra.s then call(is_waiting and 'SADD' or 'SREM', P .. 'waiting:' .. extra.s, key) end
end
-- What goes with a row that leaves the ledger's active part.
local function forget(key, row)
  call('HDEL', P .. (row.state == CLAIMED and 'claimed' or 'parked'), key)
  if has(row.flags, HELD) then call('HDEL', P .. 'payloads', key) end
  if has(row.flags, STEPS) then call('UNLINK', P .. 'steps:' .. key) end
  if row.state == WAITING then
    unqueue(key, row)
    note_schedule(key, row, false)
  end
  if row.state == ORPHAN then call('HINCRBY', P .. 'orphans', row.route, -1) end
  if row.state == CLAIMED then free_single(key, row) end
  leave_lane(key, row)
end
local function hold(key, row, payload)
  if payload and #payload > 0 then call('HSETNX', P .. 'payloads', key, payload) end
  row.flags = with(row.flags, HELD)
end
local function wait_until(key, row, due)
  if row.state == CLAIMED then free_single(key, row) end
  if row.state == ORPHAN then call('HINCRBY', P .. 'orphans', row.route, -1) end
  row.state, row.owner, row.due = WAITING, 0, due
  put(key, row)
  enqueue(key, row)
  note_schedule(key, row, true)
  local lane = lane_of(row)
  if lane then promote(lane) end
  work = true
end
local function orphan(key, row)
  if row.state == CLAIMED then free_single(key, row) end
  row.state, row.owner = ORPHAN, 0
  call('HINCRBY', P .. 'orphans', row.route, 1)
  put(key, row)
end
local function end_row(key, row, code, by)
  come_to_end(key, row, group_by(row.route), code, by)
  forget(key, row)
end

local function die(key, row, reason, source, failure)
  if row.state == CLAIMED then free_single(key, row) end
  local number = call('HINCRBY', P .. 'meta', 'dead', 1)
  local extra = extra_of(row) or {}
  row.extra = extra
  extra.d = number
  keep_extra(row)
  row.state, row.owner, row.due, row.flags = DEAD, 0, 0, with(row.flags, HELD)
  put(key, row)
  local letter = {i = id_of(row), s = source, r = row.route, w = reason, a = row.attempt, c = row.crashes}
  letter.t = text(now)
  call('HSET', P .. 'dead', number, key .. cjson.encode(letter) .. '\\n' .. failure)
  call('ZADD', P .. 'deads', number, number)
  count(row.batch, row.route, 'dead', 1)
  count(row.batch, row.route, 'died', 1)
  local lane, rule = lane_of(row)
  if lane and rule == 'order' then leave_lane(key, row) end
  outcomes = true
end
local function source_of(row)
  return call('HGET', P .. 'numbers:source', (take('<I4', row.tail, 11))) or ''
end

-- Not carried out. What the ledger holds waits for the next; what it doesn't, the broker still has, unless its order
-- would be lost meanwhile.
local function give_back(key, row, payload)
  if lane_of(row) and not has(row.flags, HELD) and payload and #payload > 0 then hold(key, row, payload) end
  if has(row.flags, HELD) then
    wait_until(key, row, now)
  elseif lane_of(row) then
    orphan(key, row)
  else
    forget(key, row)
  end
end
local function bury_claim(key, row, owner, alone)
  local dies = alone and has(row.flags, SUSPECT)
  if dies then row.crashes = row.crashes + 1 end
  local said = cjson.encode({k = 'ConsumerDied', x = 'consumer ' .. owner .. ' died with this message in hand', t = ''})
  fail(key, row.attempt, dies and 'crashed alone' or 'crashed', owner, said)
  count(0, row.route, 'crashes', 1)
  row.flags = with(with(row.flags, SUSPECT), AMBIGUOUS)
  if row.crashes >= 3 then
    said = row.crashes .. ' consumers died while carrying out this message alone; find out why before you replay it'
    die(key, row, 'poison', source_of(row), cjson.encode({k = 'ConsumerDied', x = said, t = ''}))
  elseif has(row.flags, HELD) then
    wait_until(key, row, now)
  else
    orphan(key, row)
  end
end

-- Taken back by its schedule? A list of {number, since, until, generation} by schedule; texts, as they are exact.
local function is_revoked(extra)
  if not extra or not extra.s then return false end
  local list = call('HGET', P .. 'revoked', extra.s)
  if not list then return false end
  for _, one in ipairs(cjson.decode(list)) do
    local at, stop = tonumber(one[8] and extra.k or extra.t), one[3] ~= '' and tonumber(one[3])
    if at >= tonumber(one[2]) and (not stop or at < stop) and extra.g <= one[4] then return true end
  end
  return false
end
"""
