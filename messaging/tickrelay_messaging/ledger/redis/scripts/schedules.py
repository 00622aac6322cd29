# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Decisions about ticks, the form each schedule had last, and the audit trail.

A decision is JSON in `ticks` by its number; `tickkeys` leads from its key to the number, `tickorder` and
`ticksof:SCHEDULE` hold numbers in their order.
"""

from __future__ import annotations

# args: epoch, clock, then key, JSON, schedule and 1 if it fired, of each
RECORD = """
for i = 3, #ARGV, 4 do
  local number = call('HGET', P .. 'tickkeys', ARGV[i])
  local known = number and call('HGET', P .. 'ticks', number)
  if not known then
    number = call('HINCRBY', P .. 'meta', 'tick', 1)
    call('HSET', P .. 'tickkeys', ARGV[i], number)
    call('ZADD', P .. 'tickorder', number, number)
    call('ZADD', P .. 'ticksof:' .. ARGV[i + 2], number, number)
  end
  if not known or (ARGV[i + 3] == '1' and sub(known, 1, 1) == '0') then
    call('HSET', P .. 'ticks', number, ARGV[i + 3] .. text(now) .. '\\n' .. ARGV[i] .. ARGV[i + 1])
  end
end
return 1
"""

# args: epoch, clock, schedule, fingerprint, since, run. Answers the form in force: fingerprint, generation, since,
# previous, its first run. Kept is the latest run as well.
REMEMBER = """
local kept = call('HGET', P .. 'fingerprints', ARGV[3])
local form = kept and cjson.decode(kept) or {ARGV[4], 0, ARGV[5], '', ARGV[6], ARGV[6]}
form[5], form[6] = form[5] or form[3], form[6] or form[3]
if tonumber(ARGV[6]) > tonumber(form[6]) then
  if form[1] ~= ARGV[4] then form = {ARGV[4], form[2] + 1, ARGV[5], form[1], ARGV[6]} end
  form[6] = ARGV[6]
  kept = nil
end
if not kept then call('HSET', P .. 'fingerprints', ARGV[3], cjson.encode(form)) end
return form
"""

# args: epoch, clock, who, what, detail
ENTER = """
call('RPUSH', P .. 'audit', cjson.encode({at = text(now), who = ARGV[3], what = ARGV[4], detail = ARGV[5]}))
return 1
"""

# args: epoch, clock, retention. Answers how many decisions were dropped, a slice of the oldest at most.
FORGET_TICKS = """
local dropped = 0
for _, number in ipairs(call('ZRANGE', P .. 'tickorder', 0, 499)) do
  local kept = call('HGET', P .. 'ticks', number)
  local stop = string.find(kept, '\\n', 1, true)
  if tonumber(sub(kept, 2, stop - 1)) + tonumber(ARGV[3]) < now then
    local row = cjson.decode(sub(kept, stop + 17))
    call('HDEL', P .. 'ticks', number)
    call('HDEL', P .. 'tickkeys', sub(kept, stop + 1, stop + 16))
    call('ZREM', P .. 'tickorder', number)
    call('ZREM', P .. 'ticksof:' .. row[1], number)
    dropped = dropped + 1
  end
end
return dropped
"""
