# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dead letters: made of what can't be decoded, replayed and discarded."""

from __future__ import annotations

# args: epoch, clock, route, group, source, failure, then key, tail and payload of each
BURY = """
local fresh = pack(HEADER, 0, 0, tonumber(ARGV[3]), 0, 0, 0, DEAD, 0)
for i = 7, #ARGV, 3 do
  local key = ARGV[i]
  if not known(key) and not find_mark(ARGV[4], key) then
    local row = parse(fresh .. ARGV[i + 1])
    hold(key, row, ARGV[i + 2])
    fail(key, 0, 'undecodable', '', ARGV[6])
    die(key, row, 'undecodable', ARGV[5], ARGV[6])
  end
end
outcomes = true
finish()
return 1
"""

_TAKE_LETTER = """
local function letter_of(number)
  local kept = call('HGET', P .. 'dead', number)
  if not kept then return nil end
  local key = sub(kept, 1, 16)
  local raw = call('HGET', P .. 'parked', key)
  call('HDEL', P .. 'dead', number)
  call('ZREM', P .. 'deads', number)
  if not raw then return nil end
  local row = parse(raw)
  count(row.batch, row.route, 'dead', -1)
  row.extra = extra_of(row) or {}
  row.extra.d = nil
  return key, row
end
local function audit(what, detail, numbers)
  detail = detail .. ' [' .. numbers .. ']'
  local entry = {at = text(now), who = ARGV[3], what = 'dead letters ' .. what, detail = detail}
  call('RPUSH', P .. 'audit', cjson.encode(entry))
end
local changed = {}
"""

# args: epoch, clock, by, failure (JSON), numbers...
REPLAY = (
    _TAKE_LETTER
    + """
for i = 5, #ARGV do
  local key, row = letter_of(ARGV[i])
  if key then
    fail(key, row.attempt, 'replayed', ARGV[3], ARGV[4])
    if next(row.extra) == nil then
      row.tail = sub(row.tail, 1, 14) .. pack('<I2', 0) .. id_of(row)
      row.extra = false
    else
      keep_extra(row)
    end
    row.attempt, row.crashes, row.flags = 1, 0, has(row.flags, STEPS) and HELD + STEPS or HELD
    join_lane(key, row)
    wait_until(key, row, now)
    insert(changed, ARGV[i])
  end
end
if #changed > 0 then
  audit('replayed', '', table.concat(changed, ','))
  outcomes, work = true, true
end
finish()
return changed
"""
)

# args: epoch, clock, by, failure (JSON), reason, numbers...
DISCARD = (
    _TAKE_LETTER
    + """
for i = 6, #ARGV do
  local key, row = letter_of(ARGV[i])
  if key then
    fail(key, row.attempt, 'discarded', ARGV[3], ARGV[4])
    end_row(key, row, DISCARDED, ARGV[3])
    insert(changed, ARGV[i])
  end
end
if #changed > 0 then audit('discarded', ARGV[5], table.concat(changed, ',')) end
finish()
return changed
"""
)
