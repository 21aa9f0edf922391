-- Look at the oldest accepted checkouts, in one answer. They stay in the inbox.
-- KEYS: 1 inbox
-- ARGV: 1 how many at most  2 what the keys of accepted checkouts begin with  3... ids to pass over
-- Answers for each: id, session_id, accepted_at (ms), tries, snapshot; false where it has none.
local skip = {}
for i = 3, #ARGV do
  skip[ARGV[i]] = true
end
local most = tonumber(ARGV[1])
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, most + #ARGV - 3)) do
  if not skip[id] and #found < most then
    local one = redis.call('HMGET', ARGV[2] .. id, 'session_id', 'accepted_at', 'tries', 'snapshot')
    found[#found + 1] = {id, one[1], one[2], one[3], one[4]}
  end
end
return found
