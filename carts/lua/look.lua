-- Look at a cart, at what is cached of its products, and at what an idempotency key was used for.
-- KEYS: 1 cart  2 idempotency, if there is a key
-- ARGV: 1 lifetime (s)  2 what may be left of it before it is prolonged (ms)
-- Answers {'OK', now (ms), order id and fingerprint of the key's checkout or '', the cart's time to live (ms),
--          its fields and values, the ids and cached entries ('' for none) of its products}.
local t = redis.call('TIME')
local now = t[1] .. string.format('%03d', math.floor(t[2] / 1000))
local used = ''
if KEYS[2] then
  local seen = redis.call('HMGET', KEYS[2], 'order_id', 'fingerprint')
  if seen[1] and seen[2] then
    used = seen[1] .. ' ' .. seen[2]
  end
end
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 and ttl < tonumber(ARGV[2]) then
  redis.call('EXPIRE', KEYS[1], ARGV[1])
  ttl = ARGV[1] * 1000
end
local fields = redis.call('HGETALL', KEYS[1])
return {'OK', now, used, ttl, fields, texts_of(fields)}
