# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Taking what waits."""

from __future__ import annotations

# args: epoch, clock, owner (4 bytes), its number, its name, route, group, limit, suspects or not, seconds ahead,
# and, if no answer came the last time, the highest fence known until then: what was taken above it is told again.
# Answers: fence, then for each its key, row and payload. Answers 'again' instead of a row where one came to an end.
CLAIM_DUE = """
local owner, number, name, route, group = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
if call('HEXISTS', P .. 'owners', number) == 0 then return redis.error_reply('NOOWNER') end
local limit, fence = tonumber(ARGV[8]), next_fence()
local answer, taken = {fence}, 0
local queue = P .. (ARGV[9] == '1' and 'alone:' or 'due:') .. route

local function run(key, row)
  local single = single_of(row)
  if single then call('HSET', P .. 'singles', single, key) end
  call('ZREM', queue, key)
  note_schedule(key, row, false)
  row.state, row.owner, row.due = CLAIMED, take('<I4', owner), 0
  row.fence, row.flags = math.max(fence, row.fence + 1), with(row.flags, WAITED)
  put(key, row)
  taken = taken + 1
  local kept = call('HGET', P .. 'payloads', key)
  for _, part in ipairs({key, raw_of(row), kept or ''}) do insert(answer, part) end
end
local function take_one(key, row)
  local extra, lane = extra_of(row), lane_of(row)
  if lane and not extra.n then
    place_later(lane)
    row = parse(call('HGET', P .. 'parked', key))
    if call('ZRANGE', lane, 0, 0)[1] ~= key then
      unqueue(key, row)
      return false
    end
  end
  if is_revoked(extra) then
    row.attempt = row.attempt - 1
    end_row(key, row, REVOKED, name)
    return false
  elseif extra and extra.e and tonumber(extra.e) <= math.max(now, row.due) then
    row.attempt = row.attempt - 1
    end_row(key, row, EXPIRED, name)
    return false
  end
  local single = single_of(row)
  if single and call('HEXISTS', P .. 'singles', single) == 1 then
    row.attempt = row.attempt - 1
    end_row(key, row, SKIPPED, name)
    return false
  end
  run(key, row)
  return true
end
-- Those behind it in its lane, as long as they are due too.
local function follow(row)
  local lane = lane_of(row)
  if not lane or ARGV[9] == '1' then return end
  for _, key in ipairs(call('ZRANGE', lane, 1, limit)) do
    local raw = taken < limit and call('HGET', P .. 'parked', key)
    local next_row = raw and parse(raw)
    if not next_row or next_row.state ~= WAITING or next_row.due > now or has(next_row.flags, SUSPECT) then return end
    if not take_one(key, next_row) then return end
  end
end

if ARGV[11] then
  local flat = call('HGETALL', P .. 'claimed')
  for i = 1, #flat, 2 do
    local row = parse(flat[i + 1])
    local is_mine = pack('<I4', row.owner) == owner and row.route == tonumber(route)
    if is_mine and has(row.flags, WAITED) and row.fence > tonumber(ARGV[11]) then
      free_single(flat[i], row)
      run(flat[i], row)
    end
  end
end
while taken < limit do
  local first = call('ZRANGEBYSCORE', queue, '-inf', format('%.17g', now), 'LIMIT', 0, 64)
  if #first == 0 then break end
  for _, key in ipairs(first) do
    if taken >= limit then break end
    local raw = call('HGET', P .. 'parked', key)
    if not raw then
      call('ZREM', queue, key)
    else
      local row = parse(raw)
      if row.state ~= WAITING then
        call('ZREM', queue, key)
      elseif take_one(key, row) then
        follow(row)
      end
    end
  end
end
-- What will be due soon, where it hasn't been anybody's yet and has no place among others.
local until_then = now + tonumber(ARGV[10])
if until_then > now and taken < limit then
  local range = {'(' .. format('%.17g', now), format('%.17g', until_then), 'LIMIT', 0, limit - taken}
  for _, key in ipairs(call('ZRANGEBYSCORE', queue, unpack(range))) do
    local raw = call('HGET', P .. 'parked', key)
    local row = raw and parse(raw)
    if row and row.state == WAITING and row.fence == 0 and not lane_of(row) and not single_of(row) then
      take_one(key, row)
    end
  end
end
finish()
return answer
"""

# args: epoch, clock, owner's name, then key and failure of each that can't be decoded still.
BURY_AGAIN = """
for i = 4, #ARGV, 2 do
  local raw = call('HGET', P .. 'claimed', ARGV[i])
  if raw then
    local row = parse(raw)
    die(ARGV[i], row, 'undecodable', source_of(row), ARGV[i + 1])
  end
end
finish()
return 1
"""

# args: epoch, clock, routes. Answers due, suspects, and for each route how much waits, is orphaned or dead.
DUE = """
local first, suspects, counts = nil, 0, {}
for i = 3, #ARGV do
  local route = ARGV[i]
  local head = call('ZRANGE', P .. 'due:' .. route, 0, 0, 'WITHSCORES')
  if head[2] and (not first or tonumber(head[2]) < first) then first = tonumber(head[2]) end
  local alone = P .. 'alone:' .. route
  suspects = suspects + call('ZCOUNT', alone, '-inf', format('%.17g', now))
  insert(counts, call('ZCARD', P .. 'due:' .. route) + call('ZCARD', alone))
  insert(counts, tonumber(call('HGET', P .. 'totals', route .. ':dead') or 0))
end
return {first and format('%.17g', first) or '', suspects, counts}
"""
