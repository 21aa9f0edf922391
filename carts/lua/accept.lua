-- Accept a checkout: claim the cart and put the order id into the inbox, or say why not.
-- KEYS: 1 cart  2 idempotency  3 accepted  4 claimed cart  5 inbox  6 doorbell  7 open orders  8 checked_out
--       9 nearly full
-- ARGV: 1 order id  2 fingerprint ('' without a key)  3 snapshot  4 session id
--       5 id of the cart that was priced  6 its version  7 idempotency lifetime (s)  8 doorbell (ms)
--       9 how long the oldest in the inbox may have waited (s)  10 the request's traceparent, if it is traced
-- Answers {'ACCEPTED', order id, accepted at (ms), ring}  ring: '1' when the doorbell was not ringing
--         {'REPLAY' | 'MISMATCH', order id of the first request with this key}
--         {'EMPTY', order id the last cart went into, or ''}
--         {'CHANGED'}
--         {'FULL'}  the server's memory is nearly used up
--         {'BUSY', how long the oldest has waited (s)}  that is too long: nothing new until it is settled
-- Sent twice with the same order id it accepts once and answers the same, but for the ring.
local before = redis.call('HGET', KEYS[3], 'accepted_at')
if before then
  return {'ACCEPTED', ARGV[1], before, '0'}
end
if ARGV[2] ~= '' then
  local seen = redis.call('HMGET', KEYS[2], 'fingerprint', 'order_id')
  if seen[1] then
    if seen[1] ~= ARGV[2] then
      return {'MISMATCH', seen[2]}
    end
    return {'REPLAY', seen[2]}
  end
end
local cart = redis.call('HMGET', KEYS[1], 'id', 'version')
if not cart[1] then
  return {'EMPTY', redis.call('GET', KEYS[8]) or ''}
end
if cart[1] ~= ARGV[5] or cart[2] ~= ARGV[6] then
  return {'CHANGED'}
end
if redis.call('EXISTS', KEYS[9]) == 1 then
  return {'FULL'}
end
local t = redis.call('TIME')
local oldest = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
local age = oldest[2] and t[1] + t[2] / 1000000 - oldest[2] or 0
if age > tonumber(ARGV[9]) then
  return {'BUSY', math.floor(age)}
end
local now = t[1] .. string.format('%03d', math.floor(t[2] / 1000))
local seconds = t[1] .. '.' .. string.format('%06d', t[2])
-- The snapshot first: a full server refuses a script's first write or none (and would let RENAME through).
redis.call('HSET', KEYS[3], 'snapshot', ARGV[3], 'session_id', ARGV[4], 'accepted_at', now)
if ARGV[10] then
  redis.call('HSET', KEYS[3], 'traceparent', ARGV[10])
end
redis.call('RENAME', KEYS[1], KEYS[4])
redis.call('PERSIST', KEYS[4])
redis.call('ZADD', KEYS[5], seconds, ARGV[1])
redis.call('ZADD', KEYS[7], seconds, ARGV[1])
redis.call('SET', KEYS[8], ARGV[1], 'EX', 600)
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[2], 'fingerprint', ARGV[2], 'order_id', ARGV[1])
  redis.call('EXPIRE', KEYS[2], ARGV[7])
end
local ring = redis.call('SET', KEYS[6], '1', 'NX', 'PX', ARGV[8])
return {'ACCEPTED', ARGV[1], now, ring and '1' or '0'}
