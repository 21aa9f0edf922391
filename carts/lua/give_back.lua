-- Give a failed checkout's cart back: its lines are added to whatever the session has begun since.
-- KEYS: 1 cart  2 claimed cart  3 checked_out
-- ARGV: 1 lifetime (s)  2 id for a new cart  3 order id
-- Answers 1, or 0 when it was given back before: the claimed cart goes with the first time.
local claimed = redis.call('HGETALL', KEYS[2])
if #claimed == 0 then
  return 0
end
redis.call('HSETNX', KEYS[1], 'id', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'version', 1)
for i = 1, #claimed, 2 do
  local kind = string.sub(claimed[i], 1, 2)
  if kind == 'q:' then
    redis.call('HINCRBY', KEYS[1], claimed[i], claimed[i + 1])
  elseif kind == 'p:' or kind == 't:' then
    redis.call('HSETNX', KEYS[1], claimed[i], claimed[i + 1])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
if redis.call('GET', KEYS[3]) == ARGV[3] then
  redis.call('DEL', KEYS[3])
end
return 1
