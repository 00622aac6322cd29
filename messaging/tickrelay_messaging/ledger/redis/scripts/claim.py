# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Claiming what was received, adopting what another consumer has in hand."""

from __future__ import annotations

# args: epoch, clock, owner (4 bytes), its number, its name, route, group, a letter for each message, key and tail
# of each in one, then what is special (size 4, JSON, payload) of those with the letter s. Answers fence and letters:
# [R]un, d[U]plicate, [P]arked, [M]ismatch, [E]xpired, re[V]oked, [S]kipped, and [N]eed its payload: nothing
# was written, ask again.
CLAIM = """
local owner, number, name, route, group = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
if call('HEXISTS', P .. 'owners', number) == 0 then return redis.error_reply('NOOWNER') end
local fence = next_fence()
local fresh = pack('<I8', fence) .. owner .. pack('<I2I2BBBd', route, 1, 0, 0, CLAIMED, 0)
local letters, keys, answers = ARGV[8], {}, {}
for i = 1, #letters do keys[i] = sub(ARGV[8 + i], 1, 16) end
local specials = 8 + #letters
local claimed, parked = call('HMGET', P .. 'claimed', unpack(keys)), {}
if call('EXISTS', P .. 'parked') == 1 then parked = call('HMGET', P .. 'parked', unpack(keys)) end
local written, fresh_rows, blocked = {}, {}, {}
local function write_fresh()
  if #fresh_rows > 0 then call('HSET', P .. 'claimed', unpack(fresh_rows)) end
  fresh_rows = {}
end

local function differs(one, other)
  return one ~= other and sub(one, 1, 2) == sub(other, 1, 2)
end
local function split_special(special)
  if not special then return nil, nil end
  local size = take('<I4', special)
  return cjson.decode(sub(special, 5, 4 + size)), sub(special, 5 + size)
end
-- Whether a batch's number stands for a later try than the other.
local function is_newer(new, old)
  if new == 0 or new == old then return false end
  if old == 0 then return true end
  local tags = call('HMGET', P .. 'numbers:batch', new, old)
  local new_id, new_try = string.match(tags[1] or '', '^(.*)/(%d+)$')
  local old_id, old_try = string.match(tags[2] or '', '^(.*)/(%d+)$')
  return new_id ~= nil and new_id == old_id and tonumber(new_try) > tonumber(old_try)
end
local function digest_of(bits, tail) return bits >= 2 and sub(tail, 5, 10) end

local function mark_again(key, value, slot, tail)
  local code, batch = byte(value, 1) % 16, 0
  local bits = floor(byte(value, 1) / 16)
  if bits % 2 == 1 then batch = take('<I3', value, 6) end
  local new = take('<I3', tail, 2)
  if is_newer(new, batch) then
    local digest = bits >= 2 and sub(value, -6) or ''
    call('HSET', slot, key, char(code + 16 * with(bits, 1)) .. sub(value, 2, 5) .. sub(tail, 2, 4) .. digest)
    move(batch, new, route, NAMES[code])
    turn_page()
    list_batch(new, take('<I4', value, 2))
  end
end
local function row_again(key, row, tail)
  local new = take('<I3', tail, 2)
  if is_newer(new, row.batch) then
    if row.state == DEAD then move(row.batch, new, row.route, 'dead') end
    rebatch(row, new)
    put(key, row)
  end
end
local function answer_mismatch(tail, special, payload)
  if not special or not special.o then return 'N' end
  local key = special.k:gsub('..', function(two) return char(tonumber(two, 16)) end)
  local value, slot = find_mark(group, key)
  local row = known(key)
  if value then
    mark_again(key, value, slot, tail)
  elseif row then
    row_again(key, row, tail)
  else
    row = parse(fresh .. tail)
    row.state = DEAD
    hold(key, row, payload)
    die(key, row, 'mismatch', source_of(row), special.o)
  end
  return 'M'
end
-- A newer generation takes the place of a revoked one that waits, or is in somebody's hands and may fail.
local function replace_revoked(key, row, special, payload)
  if row.state ~= WAITING and row.state ~= CLAIMED then return end
  local old = extra_of(row)
  if not (special and special.x and special.x.s) or not is_revoked(old) or is_revoked(special.x) then return end
  row.extra = special.x
  row.extra.n = old.n
  keep_extra(row)
  if row.state == CLAIMED then
    call('HSET', P .. 'payloads', key, payload)
    put(key, row)
    return
  end
  row.attempt, row.crashes, row.flags = 1, 0, HELD
  call('UNLINK', P .. 'steps:' .. key)
  call('HSET', P .. 'payloads', key, payload)
  unqueue(key, row)
  put(key, row)
  enqueue(key, row)
end
local function answer_known(key, row, tail, special, payload)
  -- Its own claim, of which no answer reached it.
  if special and special.a and row.state == CLAIMED and pack('<I4', row.owner) == owner
    and row.fence > tonumber(special.a) and row.fence < fence then
    row.fence = fence
    put(key, row)
    return 'R'
  end
  local mine, theirs = digest_of(byte(tail, 1), tail), digest_of(byte(row.tail, 1), row.tail)
  if mine and theirs and differs(mine, theirs) then return answer_mismatch(tail, special, payload) end
  local is_open = row.state == CLAIMED or row.state == ORPHAN
  if is_open and not has(row.flags, HELD) and not payload then return 'N' end
  if row.state == CLAIMED and not has(row.flags, HELD) then
    hold(key, row, payload)
    put(key, row)
    work = true
  elseif row.state == ORPHAN then
    hold(key, row, payload)
    wait_until(key, row, now)
  end
  replace_revoked(key, row, special, payload)
  row_again(key, row, tail)
  return 'P'
end
local function answer_marked(key, value, slot, tail, special, payload)
  local code, bits = byte(value, 1) % 16, floor(byte(value, 1) / 16)
  local mine = digest_of(byte(tail, 1), tail)
  if mine and bits >= 2 and differs(mine, sub(value, -6)) then
    return answer_mismatch(tail, special, payload)
  end
  if code == REVOKED and special and special.x and special.x.s and not is_revoked(special.x) then
    call('HDEL', slot, key)
    count(bits % 2 == 1 and take('<I3', value, 6) or 0, route, 'revoked', -1)
    return nil
  end
  mark_again(key, value, slot, tail)
  count(0, route, 'duplicates', 1)
  return 'U'
end
local function answer_special(key, row, special, payload)
  local extra = special.x
  if extra then row.extra = extra end
  row.attempt = 0
  if special.e and tonumber(special.e) <= now then
    come_to_end(key, row, group, EXPIRED, name)
    return 'E'
  elseif is_revoked(extra) then
    come_to_end(key, row, group, REVOKED, name)
    return 'V'
  end
  row.attempt = 1
  local is_early = special.d and tonumber(special.d) > now
  local single = single_of(row)
  if single and not is_early then
    if call('HEXISTS', P .. 'singles', single) == 1 then
      row.attempt = 0
      come_to_end(key, row, group, SKIPPED, name)
      return 'S'
    end
    call('HSET', P .. 'singles', single, key)
  end
  local lane = lane_of(row)
  if lane and not is_early and blocked[lane] == nil then
    blocked[lane] = false
    place_later(lane)
    for _, before in ipairs(call('ZRANGE', lane, 0, -1)) do
      local raw = call('HGET', P .. 'claimed', before)
      if not raw or sub(raw, 9, 12) ~= owner then
        blocked[lane] = true
        break
      end
    end
  end
  if not is_early and not (lane and blocked[lane]) then
    join_lane(key, row)
    call('HSET', P .. 'claimed', key, raw_of(row))
    return 'R'
  end
  row.fence, row.owner = 0, 0
  hold(key, row, payload)
  if lane and is_early then
    call('ZADD', lane .. ':later', special.d, key)
  elseif lane then
    join_lane(key, row)
    blocked[lane] = true
  end
  row.state = DEAD -- so that nothing is taken back on the way
  wait_until(key, row, is_early and tonumber(special.d) or now)
  return 'P'
end

for i, key in ipairs(keys) do
  local tail, given, raw, answer = sub(ARGV[8 + i], 17), nil, claimed[i] or parked[i], nil
  if byte(letters, i) == 115 then
    specials = specials + 1
    given = ARGV[specials]
  end
  if written[key] then
    write_fresh()
    raw = call('HGET', P .. 'claimed', key) or call('HGET', P .. 'parked', key)
  end
  local special, payload = nil, nil
  if given then special, payload = split_special(given) end
  if raw then
    answer = answer_known(key, parse(raw), tail, special, payload)
    if answer ~= 'N' then written[key] = true end
  else
    local value, slot = find_mark(group, key)
    if value then answer = answer_marked(key, value, slot, tail, special, payload) end
    if not answer then
      written[key] = true
      if special and (special.e or special.d or special.x) then
        answer = answer_special(key, parse(fresh .. tail), special, payload)
      else
        local at = #fresh_rows
        fresh_rows[at + 1], fresh_rows[at + 2] = key, fresh .. tail
        answer = 'R'
      end
    end
  end
  answers[i] = answer
end
write_fresh()
finish()
return {fence, table.concat(answers)}
"""
