-- Remember products as they were read from SQL, unless an entry has moved on since its stamp was looked at.
-- KEYS: the cached products
-- ARGV: 1 lifetime (s)  then two a product: the stamp that was seen, '' for none  the entry
-- Answers how many were put. An entry begins with its stamp, 13 characters. Sent twice it does nothing more:
-- the first time has changed the stamp.
local put = 0
for i = 1, #KEYS do
  if redis.call('GETRANGE', KEYS[i], 0, 12) == ARGV[2 * i] then
    redis.call('SET', KEYS[i], ARGV[2 * i + 1], 'EX', ARGV[1])
    put = put + 1
  end
end
return put
