-- Whole journeys for wrk: a new shopper adds two products, checks out and follows the order until it is over.
-- One connection a thread: the state below is that of one shopper. Started by bench/journeys.py.

local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } oncecart_time; int clock_gettime(int, oncecart_time *);")
local MONOTONIC, now = 1, ffi.new("oncecart_time")

local function time_us()
  ffi.C.clock_gettime(MONOTONIC, now)
  return tonumber(now.seconds) * 1e6 + tonumber(now.nanoseconds) / 1e3
end

local PRODUCTS = { "enamel-mug-1", "enamel-mug-2", "oak-board", "linen-towel" }
local ADDRESS = '{"name":"Ada Lovelace","line1":"1 Main Street","city":"Oakland","postal_code":"94601",'
  .. '"country":"US","region":"CA"}'
local CHECKOUT = '{"email":"ada@example.com","shipping_info":' .. ADDRESS
  .. ',"shipping_method":"standard","payment_method":"invoice"}'
local WAIT = "wait=10"
local threads = {}

function setup(thread)
  thread:set("number", #threads + 1)
  table.insert(threads, thread)
end

function init(args)
  if args[1] then
    PRODUCTS = {}
    for each in args[1]:gmatch("[^,]+") do table.insert(PRODUCTS, each) end
  end
  if args[2] == "poll" then WAIT = nil end
  think_ms = tonumber(args[3] or "0")
  math.randomseed(number * 7919)
  step, journeys, refused, polls, serial = "first", 0, 0, 0, 0
  waits = {}
end

local function again()
  step, token, order_id = "first", nil, nil
end

local function add(position)
  return wrk.format("POST", "/api/cart/add", {
    ["Content-Type"] = "application/json", ["X-Session-Token"] = token,
  }, '{"product_id":"' .. PRODUCTS[position] .. '","quantity":1}')
end

function delay()
  -- Only between two shoppers, of a length that lets them not come in step.
  return step == "first" and think_ms > 0 and math.random(0, 2 * think_ms) or 0
end

function request()
  if step == "first" then
    chosen = math.random(#PRODUCTS)
    return add(chosen)
  elseif step == "second" then
    return add(chosen % #PRODUCTS + 1)
  elseif step == "checkout" then
    serial = serial + 1
    sent_at = time_us()
    return wrk.format("POST", "/api/checkout", {
      ["Content-Type"] = "application/json", ["X-Session-Token"] = token, ["Prefer"] = WAIT,
      ["Idempotency-Key"] = number .. "-" .. serial,
    }, CHECKOUT)
  end
  polls = polls + 1
  return wrk.format("GET", "/api/orders/" .. order_id, { ["X-Session-Token"] = token, ["Prefer"] = WAIT })
end

local function header(headers, name)
  return headers[name] or headers[name:lower()]
end

function response(status, headers, body)
  if status >= 300 then
    refused = refused + 1
    last_refusal = status .. " " .. body:sub(1, 200)
    again()
  elseif step == "first" then
    token, step = header(headers, "X-Session-Token"), "second"
  elseif step == "second" then
    step = "checkout"
  else
    if step == "checkout" then
      order_id, step = body:match('"id":"([%x-]+)"'), "follow"
    end
    if body:find('"terminal":true', 1, true) then
      journeys = journeys + 1
      table.insert(waits, time_us() - sent_at)
      again()
    end
  end
end

function done(summary, latency, requests)
  local total, refusals, polled, all, said = 0, 0, 0, {}, nil
  for _, thread in ipairs(threads) do
    total = total + thread:get("journeys")
    refusals = refusals + thread:get("refused")
    polled = polled + thread:get("polls")
    said = said or thread:get("last_refusal")
    for _, each in ipairs(thread:get("waits")) do table.insert(all, each) end
  end
  table.sort(all)
  local function at(share) return (all[math.max(1, math.ceil(#all * share))] or 0) / 1000 end
  io.write(string.format(
    '\nJOURNEYS {"journeys":%d,"seconds":%.3f,"refused":%d,"follows":%d,"requests":%d,"errors":%d,'
      .. '"p50_ms":%.2f,"p90_ms":%.2f,"p99_ms":%.2f,"max_ms":%.2f}\n',
    total, summary.duration / 1e6, refusals, polled, summary.requests,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    at(0.5), at(0.9), at(0.99), at(1)))
  if said then io.write("REFUSED " .. said .. "\n") end
end
