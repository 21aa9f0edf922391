-- Products were changed in SQL: give their entries a new stamp, older than any instant, so that the next look
-- reads SQL and nobody who read SQL before can put the old copy back.
-- KEYS: the cached products
-- ARGV: 1 the new stamp, 13 characters  2 lifetime of a stamp without an entry (s)  3 '1' to keep the entries
-- Kept, not deleted: with SQL away an old product still sells. Sent twice it does nothing more.
for i = 1, #KEYS do
  if ARGV[3] == '1' and redis.call('STRLEN', KEYS[i]) > 13 then
    redis.call('SETRANGE', KEYS[i], 0, ARGV[1])
  else
    redis.call('SET', KEYS[i], ARGV[1], 'EX', ARGV[2])
  end
end
return #KEYS
