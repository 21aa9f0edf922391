-- One kind of request, again and again, for wrk: started by bench/routes.py.
-- add: products into carts of four lines; checkout: an add and a checkout, one after the other; order: the same order.

local products, kind, token, order_id, n = {}, nil, nil, nil, 0
local CHECKOUT = '{"email":"ada@example.com","shipping_info":{"name":"Ada Lovelace","line1":"1 Main Street",'
  .. '"city":"Oakland","postal_code":"94601","country":"US","region":"CA"},'
  .. '"shipping_method":"standard","payment_method":"invoice"}'
local threads = {}

function setup(thread)
  thread:set("number", #threads + 1)
  table.insert(threads, thread)
end

function init(args)
  kind, order_id = args[1], args[3]
  if kind == "order" then token = args[4] end
  for each in args[2]:gmatch("[^,]+") do table.insert(products, each) end
  good, bad = 0, 0
end

function request()
  if kind == "order" then
    return wrk.format("GET", "/api/orders/" .. order_id, { ["X-Session-Token"] = token })
  end
  local headers = { ["Content-Type"] = "application/json", ["X-Session-Token"] = token }
  if kind == "checkout" and n % 2 == 1 then
    headers["Idempotency-Key"] = number .. "-" .. n
    return wrk.format("POST", "/api/checkout", headers, CHECKOUT)
  end
  if kind == "add" and n % 4 == 0 then headers["X-Session-Token"] = nil end
  return wrk.format("POST", "/api/cart/add", headers, '{"product_id":"' .. products[n % #products + 1] .. '"}')
end

function response(status, headers, body)
  n = n + 1
  if status < 300 then good = good + 1 else bad = bad + 1; last_refusal = status .. " " .. body:sub(1, 200) end
  if kind ~= "order" then token = headers["X-Session-Token"] or headers["x-session-token"] or token end
end

function done(summary, latency, requests)
  local fine, refused, said = 0, 0, nil
  for _, thread in ipairs(threads) do
    fine, refused = fine + thread:get("good"), refused + thread:get("bad")
    said = said or thread:get("last_refusal")
  end
  io.write(string.format('\nDONE {"good":%d,"bad":%d,"seconds":%.3f}\n', fine, refused, summary.duration / 1e6))
  if said then io.write("REFUSED " .. said .. "\n") end
end
