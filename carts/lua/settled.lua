-- After the commit that settled a batch: take its ids out of the inbox, give failed carts back, tell who waits.
-- KEYS: the shards of the inbox  then the figures  then the cached products whose stock has moved
-- ARGV: 1 lifetime of a cart (s)  2 lifetime of a snapshot (s)  3 channel
--       4 the oldest instant, as a cached product begins with one
--       5-8 what the keys of carts, of accepted checkouts, of open orders and of checked_out begin with
--       9 what the key of a claimed cart ends with, after that of its accepted checkout
--       10 how many shards the inbox has: an id may be in any, should another worker have adopted it
--       11 what the keys of the figures of a minute begin with  12 how long those are kept (s)
--       13 up to which times to confirm (ms) figures are kept apart, with blanks between
--       then four an order: order id, session id, status, id for a new cart ('' for one that is not given back)
-- An order's keys are put together here: to send them took longer than all the rest.
-- Sent twice it does nothing more: a claimed cart goes with the first time it is given back.
-- An order that is being paid is settled twice: once as it leaves the inbox, once when its payment has ended it.
-- Each is counted once: as it leaves the inbox, and as it is heard of in another state that ends it.

local figures = {}
local function count(name, by)
  figures[name] = (figures[name] or 0) + by
end

-- How many bounds a value is above.
local function above(value, bounds)
  local n = 0
  for bound in string.gmatch(bounds, '%d+') do
    if value <= tonumber(bound) then
      break
    end
    n = n + 1
  end
  return n
end

local time = redis.call('TIME')
local function count_end(status, before, accepted_at)
  count(status, 1)
  if status == 'confirmed' and accepted_at then
    local took = math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - accepted_at)
    count(string.format('took:%d', above(took, ARGV[13])), 1)
    count('took_ms', took)
  end
  -- Heard of twice: it was waiting to be paid before.
  if status == 'confirmed' and before then
    count('paid', 1)
  end
end

-- The figures for good, and those of this second.
local function keep_figures(total)
  if not next(figures) then
    return
  end
  local minute = ARGV[11] .. string.format('%d', math.floor(time[1] / 60))
  for name, by in pairs(figures) do
    redis.call('HINCRBY', total, name, string.format('%d', by))
    redis.call('HINCRBY', minute, string.format('%d', time[1] % 60) .. ':' .. name, string.format('%d', by))
  end
  redis.call('EXPIRE', minute, ARGV[12])
end

-- A failed checkout's lines are added to whatever the session has begun since.
local function give_back(cart, claimed, new_id)
  local lines = redis.call('HGETALL', claimed)
  if #lines == 0 then
    return false
  end
  redis.call('HSETNX', cart, 'id', new_id)
  redis.call('HINCRBY', cart, 'version', 1)
  for i = 1, #lines, 2 do
    local kind = string.sub(lines[i], 1, 2)
    if kind == 'q:' then
      redis.call('HINCRBY', cart, lines[i], lines[i + 1])
    elseif kind == 'p:' or kind == 't:' then
      redis.call('HSETNX', cart, lines[i], lines[i + 1])
    end
  end
  redis.call('EXPIRE', cart, ARGV[1])
  return true
end

local shards = tonumber(ARGV[10])
local ids, gone = {}, {}
for n = 14, #ARGV, 4 do
  local order_id, session_id, status, new_id = unpack(ARGV, n, n + 3)
  local accepted = ARGV[6] .. order_id
  local claimed = accepted .. ARGV[9]
  -- An order that is still being paid keeps its claimed cart, for the end it may come to.
  local open = status == 'processing' or status == 'requires_action'
  if new_id ~= '' and give_back(ARGV[5] .. session_id, claimed, new_id) then
    local checked_out = ARGV[8] .. session_id
    if redis.call('GET', checked_out) == order_id then
      gone[#gone + 1] = checked_out
    end
  end
  local kept = redis.call('HMGET', accepted, 'status', 'accepted_at')
  -- A word that was sent before its end may arrive after it.
  if not (open and kept[1]) then
    redis.call('HSET', accepted, 'status', status)
  end
  if not open and kept[1] ~= status then
    count_end(status, kept[1], kept[2])
  end
  if not open then
    redis.call('EXPIRE', accepted, ARGV[2])
    gone[#gone + 1] = claimed
  end
  redis.call('ZREM', ARGV[7] .. session_id, order_id)
  ids[#ids + 1] = order_id
end
-- Once for all, a few hundred at a time: each call costs, and so does each line of the append-only file.
local left = 0
for first = 1, #ids, 500 do
  local last = math.min(first + 499, #ids)
  for shard = 1, shards do
    left = left + redis.call('ZREM', KEYS[shard], unpack(ids, first, last))
  end
  redis.call('PUBLISH', ARGV[3], table.concat(ids, ' ', first, last))
end
-- As old as can be, not gone: with SQL away an old product still sells.
for i = shards + 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('SETRANGE', KEYS[i], 0, ARGV[4])
  end
end
for first = 1, #gone, 500 do
  redis.call('DEL', unpack(gone, first, math.min(first + 499, #gone)))
end
if left > 0 then
  count('settled', left)
  -- Batches of up to 1, 2, 4, 8 ... checkouts.
  local size, most = 0, 1
  while most < left do
    size, most = size + 1, most * 2
  end
  count(string.format('batch:%d', size), 1)
end
keep_figures(KEYS[shards + 1])
return #ids
