-- After the commit that settled a batch: take its ids out of the inbox, give failed carts back, tell who waits.
-- KEYS: 1 inbox  then five an order: cart, claimed cart, accepted, open orders, checked_out
--       then the cached products whose stock has moved
-- ARGV: 1 number of orders  2 lifetime of a cart (s)  3 lifetime of a snapshot (s)  4 channel
--       5 the oldest instant, as a cached product begins with one
--       then three an order: order id, status, id for a new cart
-- Sent twice it does nothing more: a claimed cart goes with the first time it is given back.

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
  redis.call('EXPIRE', cart, ARGV[2])
  return true
end

local orders = tonumber(ARGV[1])
local ids, gone = {}, {}
for n = 0, orders - 1 do
  local cart, claimed, accepted, open, checked_out = unpack(KEYS, 2 + 5 * n, 6 + 5 * n)
  local order_id, status, new_id = unpack(ARGV, 6 + 3 * n, 8 + 3 * n)
  if status == 'failed' and give_back(cart, claimed, new_id) and redis.call('GET', checked_out) == order_id then
    gone[#gone + 1] = checked_out
  end
  redis.call('HSET', accepted, 'status', status)
  redis.call('EXPIRE', accepted, ARGV[3])
  redis.call('ZREM', open, order_id)
  ids[n + 1] = order_id
  gone[#gone + 1] = claimed
end
-- Once for all, a few hundred at a time: each call costs, and so does each line of the append-only file.
for first = 1, #ids, 500 do
  local last = math.min(first + 499, #ids)
  redis.call('ZREM', KEYS[1], unpack(ids, first, last))
  redis.call('PUBLISH', ARGV[4], table.concat(ids, ' ', first, last))
end
-- As old as can be, not gone: with SQL away an old product still sells.
for i = 2 + 5 * orders, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('SETRANGE', KEYS[i], 0, ARGV[5])
  end
end
for first = 1, #gone, 500 do
  redis.call('DEL', unpack(gone, first, math.min(first + 499, #gone)))
end
return orders
