# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Names by number, batches, mail, assignments, looking up what became of messages, revocations, and sweeping."""

from __future__ import annotations

# args: epoch, clock, kind, text, group's number of a route, what a batch's tries have in common. Answers its number.
NAME = """
local found = call('HGET', P .. 'names:' .. ARGV[3], ARGV[4])
if found then return tonumber(found) end
local number = call('HINCRBY', P .. 'meta', ARGV[3], 1)
call('HSET', P .. 'names:' .. ARGV[3], ARGV[4], number)
call('HSET', P .. 'numbers:' .. ARGV[3], number, ARGV[4])
if ARGV[3] == 'route' then call('HSET', P .. 'groups', number, ARGV[5]) end
if ARGV[3] == 'batch' then call('HSET', P .. 'tries:' .. ARGV[6], ARGV[4], number) end
return number
"""

# args: epoch, clock, id, DAG run, JSON. Answers its ordinal.
OPEN_BATCH = """
local ordinal = call('HLEN', P .. 'batch:' .. ARGV[3]) + 1
call('HSET', P .. 'batch:' .. ARGV[3], ordinal, cjson.encode({info = ARGV[5], opened = text(now)}))
call('SADD', P .. 'run:' .. ARGV[4], ARGV[3])
return ordinal
"""

# args: epoch, clock, id, ordinal, count, already done
CLOSE_BATCH = """
local kept = call('HGET', P .. 'batch:' .. ARGV[3], ARGV[4])
if kept then
  local batch = cjson.decode(kept)
  batch.closed, batch.count, batch.already = text(now), ARGV[5], ARGV[6]
  call('HSET', P .. 'batch:' .. ARGV[3], ARGV[4], cjson.encode(batch))
end
call('PUBLISH', P .. 'outcomes', '')
return 1
"""

# args: epoch, clock, group, keys... Answers a letter each, 1 where it has come to its end.
KNOWN = """
local answers = {}
for i = 4, #ARGV do answers[i - 3] = find_mark(ARGV[3], ARGV[i]) and '1' or '0' end
return table.concat(answers)
"""

# args: epoch, clock, place, then key, size 4, headers and body of each
PUT_MAIL = """
for i = 4, #ARGV, 2 do
  if call('HEXISTS', P .. 'mailkeys:' .. ARGV[3], ARGV[i]) == 0 then
    local number = call('HINCRBY', P .. 'meta', 'mail', 1)
    call('HSET', P .. 'mailkeys:' .. ARGV[3], ARGV[i], number)
    call('HSET', P .. 'mail', number, text(now) .. '\\n' .. ARGV[i + 1])
    call('ZADD', P .. 'freemail:' .. ARGV[3], number, number)
    call('ZADD', P .. 'allmail:' .. ARGV[3], number, number)
    call('HSET', P .. 'mailkey', number, ARGV[i])
  end
end
call('SADD', P .. 'mailplaces', ARGV[3])
outcomes = true
finish()
return 1
"""

# args: epoch, clock, place, an instant, and how many at most. Answers how many were dropped.
FORGET_MAIL = """
local place, dropped = ARGV[3], 0
for _, number in ipairs(call('ZRANGE', P .. 'allmail:' .. place, 0, ARGV[5] - 1)) do
  local mail = call('HGET', P .. 'mail', number)
  if tonumber(sub(mail, 1, string.find(mail, '\\n', 1, true) - 1)) >= tonumber(ARGV[4]) then break end
  local taker = call('HGET', P .. 'mailtaker', number)
  if taker then call('HDEL', P .. 'takers:' .. place, taker) end
  call('HDEL', P .. 'mailkeys:' .. place, call('HGET', P .. 'mailkey', number))
  for _, name in ipairs({'mail', 'mailkey', 'mailtaker'}) do call('HDEL', P .. name, number) end
  for _, name in ipairs({'freemail:', 'allmail:'}) do call('ZREM', P .. name .. place, number) end
  dropped = dropped + 1
end
return dropped
"""

# args: epoch, clock, place, then number and taker of each. Answers for each the number its taker holds, or 0.
GIVE_MAIL = """
local answers = {}
for i = 4, #ARGV, 2 do
  local holds = call('HGET', P .. 'takers:' .. ARGV[3], ARGV[i + 1])
  if not holds and call('ZREM', P .. 'freemail:' .. ARGV[3], ARGV[i]) == 1 then
    call('HSET', P .. 'takers:' .. ARGV[3], ARGV[i + 1], ARGV[i])
    call('HSET', P .. 'mailtaker', ARGV[i], ARGV[i + 1])
    holds = ARGV[i]
  end
  insert(answers, tonumber(holds or 0))
end
return answers
"""

# args: epoch, clock, seconds it's known for, taker, then keys. Answers a letter each, 1 where it's this taker's.
ASSIGN = """
local period = tonumber(ARGV[3])
local number, answers = math.floor(now / period), {}
local current, previous = P .. 'assigned:' .. number, P .. 'assigned:' .. (number - 1)
for i = 5, #ARGV do
  local taker = call('HGET', previous, ARGV[i]) or call('HGET', current, ARGV[i])
  if not taker then
    call('HSET', current, ARGV[i], ARGV[4])
    taker = ARGV[4]
  end
  answers[i - 4] = taker == ARGV[4] and '1' or '0'
end
call('EXPIRE', current, 3 * period)
return table.concat(answers)
"""

# args: epoch, clock, then group and key of each. Answers for each its row or '', and its mark or ''.
FIND = """
local answers = {}
for i = 3, #ARGV, 2 do
  local key = ARGV[i + 1]
  insert(answers, call('HGET', P .. 'claimed', key) or call('HGET', P .. 'parked', key) or '')
  insert(answers, find_mark(ARGV[i], key) or '')
end
return answers
"""

# args: epoch, clock. Answers owner, route and number of each pair of them that has claims.
COUNT_CLAIMED = """
local counts, answer = {}, {}
for _, raw in ipairs(call('HVALS', P .. 'claimed')) do add(counts, sub(raw, 9, 14), 1) end
for where, number in pairs(counts) do
  for _, part in ipairs({take('<I4', where), take('<I2', where, 5), number}) do insert(answer, part) end
end
return {text(now), answer}
"""

_REVISE = """
local function audit(what, by, detail)
  call('RPUSH', P .. 'audit', cjson.encode({at = text(now), who = by, what = what, detail = detail}))
end
"""

# args: epoch, clock, schedule, since, until or '', generation, by, reason, 1 to go by ticks. Answers its number.
REVOKE = (
    _REVISE
    + """
local number = call('HINCRBY', P .. 'meta', 'revocation', 1)
local kept = call('HGET', P .. 'revoked', ARGV[3])
local list = kept and cjson.decode(kept) or {}
local entry = {number, ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8], text(now)}
if ARGV[9] == '1' then insert(entry, 1) end
insert(list, entry)
call('HSET', P .. 'revoked', ARGV[3], cjson.encode(list))
call('HSET', P .. 'revocations', number, ARGV[3])
local stretch = ' from ' .. ARGV[4] .. ' to ' .. (ARGV[5] ~= '' and ARGV[5] or 'None')
audit('revoked', ARGV[7], ARGV[3] .. ' [' .. number .. ']' .. stretch .. ': ' .. ARGV[8])
work = true
finish()
return number
"""
)

# args: epoch, clock, by, keys of what waits...
TAKE_BACK = """
for i = 4, #ARGV do
  local raw = call('HGET', P .. 'parked', ARGV[i])
  local row = raw and parse(raw)
  if row and row.state == WAITING and is_revoked(extra_of(row)) then
    row.attempt = row.attempt - 1
    end_row(ARGV[i], row, REVOKED, ARGV[3])
  end
end
finish()
return 1
"""

# args: epoch, clock, number, by
LIFT = (
    _REVISE
    + """
local schedule = call('HGET', P .. 'revocations', ARGV[3])
if not schedule then return 0 end
local list = {}
for _, one in ipairs(cjson.decode(call('HGET', P .. 'revoked', schedule))) do
  if one[1] ~= tonumber(ARGV[3]) then insert(list, one) end
end
call('HDEL', P .. 'revocations', ARGV[3])
if #list == 0 then
  call('HDEL', P .. 'revoked', schedule)
else
  call('HSET', P .. 'revoked', schedule, cjson.encode(list))
end
audit('revocation lifted', ARGV[4], schedule .. ' [' .. ARGV[3] .. ']')
return 1
"""
)

# args: epoch, clock, retention, group or '', its mark. Goes on with buckets that are going, 1,000 hashes at a time.
# Answers how many buckets were taken out, and whether there is more to do.
SWEEP = """
local retention, taken = tonumber(ARGV[3]), 0
call('HSET', P .. 'meta', 'width', text(math.max(1, retention / 2)))
if ARGV[4] ~= '' then
  local before = math.min(now, tonumber(ARGV[5])) - retention
  for _, bucket in ipairs(group_of(ARGV[4])) do
    if bucket.stop <= before then
      call('HDEL', P .. 'buckets:' .. ARGV[4], bucket.number)
      call('HSET', P .. 'going', bucket.base, bucket.slots)
      taken = taken + 1
    end
  end
end
local going = call('HGETALL', P .. 'going')
if not going[1] then return {taken, 0} end
local slots, keys = tonumber(going[2]), {}
local from = math.max(0, slots - 1000)
for slot = from, slots - 1 do keys[#keys + 1] = going[1] .. pack('<I3', slot) end
call('UNLINK', unpack(keys))
if from == 0 then
  call('HDEL', P .. 'going', going[1])
else
  call('HSET', P .. 'going', going[1], from)
end
return {taken, (from > 0 or #going > 2) and 1 or 0}
"""

# args: epoch, clock, retention. Answers how many pages were torn out.
SWEEP_HISTORY = """
local torn = 0
for _, number in ipairs(call('HKEYS', P .. 'histories')) do
  if (tonumber(number) + 1) * HISTORY + tonumber(ARGV[3]) <= now then
    for _, batch in ipairs(call('SMEMBERS', P .. 'hbs:' .. number)) do
      call('UNLINK', P .. 'hb:' .. number .. ':' .. batch)
    end
    call('UNLINK', P .. 'h:' .. number, P .. 'f:' .. number, P .. 'hbs:' .. number)
    call('HDEL', P .. 'histories', number)
    torn = torn + 1
  end
end
return torn
"""
