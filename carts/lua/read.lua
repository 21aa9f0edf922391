-- Read accepted checkouts in one answer.
-- KEYS: the accepted hashes
-- Answers for each its session_id, accepted_at (ms), tries and snapshot; nil where it has none.
local found = {}
for i, key in ipairs(KEYS) do
  found[i] = redis.call('HMGET', key, 'session_id', 'accepted_at', 'tries', 'snapshot')
end
return found
