-- Take over the checkouts that wait in a shard of the inbox that nobody serves.
-- KEYS: 1 the inbox they are in  2 its lease  3 the heartbeats of its workers  4 our inbox
-- ARGV: 1 how long they must have waited (s)  2 for how long its workers must have been silent (s)
--       3 how many at most
-- Answers how many were taken over. Whole or not at all; sent twice it goes on with those that are left.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
local t = redis.call('TIME')
if redis.call('ZCOUNT', KEYS[3], t[1] - ARGV[2], '+inf') > 0 then
  return 0
end
local waiting = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', t[1] + t[2] / 1000000 - ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for i = 1, #waiting, 2 do
  -- There before it is gone here: a full server refuses a script's first write or none.
  redis.call('ZADD', KEYS[4], waiting[i + 1], waiting[i])
  redis.call('ZREM', KEYS[1], waiting[i])
end
return #waiting / 2
