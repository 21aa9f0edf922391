-- Before a script about a cart: the ids and cached entries ('' for none) of the products in a cart's fields and values.
local function texts_of(fields)
  local texts = {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 'q:' then
      local id = string.sub(fields[i], 3)
      texts[#texts + 1] = id
      texts[#texts + 1] = redis.call('GET', 'product:' .. id) or ''
    end
  end
  return texts
end

