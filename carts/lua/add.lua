-- Add units of a product to a cart, if the sum stays within a limit.
-- KEYS: 1 cart  2 operation
-- ARGV: 1 product  2 quantity  3 the most the cart may hold of it  4 price (minor)  5 lifetime (s)
--       6 id for a new cart  7 the most lines a cart may hold
-- Answers {'OK' | 'LIMIT' | 'LINES', now (ms), units in the cart, its time to live (ms), its fields and values,
--          the ids and cached entries ('' for none) of its products}.
-- Sent twice with the same operation it adds once: redis-py re-sends after a lost reply.
local t = redis.call('TIME')
local now = t[1] .. string.format('%03d', math.floor(t[2] / 1000))
local line = 'q:' .. ARGV[1]
local units = tonumber(redis.call('HGET', KEYS[1], line) or '0')
local verdict = 'OK'
if redis.call('EXISTS', KEYS[2]) == 0 then
  if units + ARGV[2] > tonumber(ARGV[3]) then
    verdict = 'LIMIT'
  elseif units == 0 and redis.call('HLEN', KEYS[1]) >= 2 + 3 * ARGV[7] then
    verdict = 'LINES'
  else
    redis.call('HSETNX', KEYS[1], 'id', ARGV[6])
    redis.call('HSETNX', KEYS[1], 'p:' .. ARGV[1], ARGV[4])
    redis.call('HSETNX', KEYS[1], 't:' .. ARGV[1], now)
    redis.call('HINCRBY', KEYS[1], 'version', 1)
    units = redis.call('HINCRBY', KEYS[1], line, ARGV[2])
    redis.call('EXPIRE', KEYS[1], ARGV[5])
    redis.call('SET', KEYS[2], '1', 'EX', 60)
  end
end
local fields = redis.call('HGETALL', KEYS[1])
return {verdict, now, units, redis.call('PTTL', KEYS[1]), fields, texts_of(fields)}
