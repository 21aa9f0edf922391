-- Set the quantity of a product that is in a cart; zero takes it out.
-- KEYS: 1 cart  2 checked_out
-- ARGV: 1 product  2 quantity  3 lifetime (s)
-- Answers {'OK' | 'MISSING', now (ms), units in the cart, its time to live (ms), its fields and values,
--          the ids and cached entries ('' for none) of its products}.
-- An emptied cart is deleted, so that no later cart can be taken for it.
local t = redis.call('TIME')
local now = t[1] .. string.format('%03d', math.floor(t[2] / 1000))
local line = 'q:' .. ARGV[1]
local verdict = 'OK'
if redis.call('HEXISTS', KEYS[1], line) == 0 then
  verdict = 'MISSING'
else
  if tonumber(ARGV[2]) > 0 then
    redis.call('HSET', KEYS[1], line, ARGV[2])
  else
    redis.call('HDEL', KEYS[1], line, 'p:' .. ARGV[1], 't:' .. ARGV[1])
  end
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  if redis.call('HLEN', KEYS[1]) <= 2 then
    redis.call('DEL', KEYS[1], KEYS[2])
  end
end
local fields = redis.call('HGETALL', KEYS[1])
return {verdict, now, 0, redis.call('PTTL', KEYS[1]), fields, texts_of(fields)}
