-- One deed on one purse: what an account of many houses owns, may do now, and holds.
--
-- KEYS[1]  the purse, a hash: `ledger` (nanos) as of the ledger's line `line`, `available`,
--          `in_flight`, `closed_until` and for how long (us), two buckets, and one field `h:<request>` for each
--          request that is not in the ledger yet:
--            H|house|nanos that it holds|tokens that it took|made at (s)
--            S|house|nanos that it cost|0|made at (s)
-- ARGV[1]  the deed; what follows is the deed's own. Limits are permits a minute, 0: none.
--
-- Always: available = ledger - the nanos of all requests. A deed that is done twice is done once,
-- but for `take`. Money is added up by HINCRBY: numbers of Lua are exact below 2^53 only, their
-- sign always is. A bucket counts permits times the microseconds of a minute, as the hot segment
-- does in nanoseconds: `at` is its moment, `spent` what is gone of a full one.

local purse = KEYS[1]
local MINUTE_US = 60000000

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]

local function whole(number) return string.format('%.0f', number) end

local function negated(text)
  if string.sub(text, 1, 1) == '-' then return string.sub(text, 2) end
  return text == '0' and text or '-' .. text
end

local function add(field, text)
  return redis.call('HINCRBY', purse, field, text)
end

-- Buckets.

local function write_bucket(bucket)
  redis.call('HSET', purse, bucket.name .. '_at', whole(bucket.at),
    bucket.name .. '_spent', whole(bucket.spent))
end

local function read_bucket(name, limit)
  local found = redis.call('HMGET', purse, name .. '_at', name .. '_spent')
  local at, spent = tonumber(found[1] or '0'), tonumber(found[2] or '0')
  local is_wrong = at > now_us + MINUTE_US
  if is_wrong then at = now_us end
  local moment = math.max(at, now_us)
  local bucket = {
    name = name,
    limit = limit,
    at = moment,
    spent = math.max(spent - math.max(now_us - at, 0) * limit, 0),
    behind = moment - now_us,
  }
  -- Another server's clock may be behind. A little is waited for, more is a clock that was wrong:
  -- it refills from now on. One that jumps ahead refills a bucket, which has a minute's permits.
  if is_wrong then write_bucket(bucket) end
  return bucket
end

-- Microseconds until so many permits can be taken; 0: now, -1: never.
local function wait_us(bucket, permits)
  if bucket.limit == 0 then return 0 end
  if permits > bucket.limit then return -1 end
  local missing = bucket.spent + (permits - bucket.limit) * MINUTE_US
  if missing <= 0 then return 0 end
  return math.ceil(missing / bucket.limit) + bucket.behind
end

local function take(bucket, permits)
  if bucket.limit > 0 then
    bucket.spent = bucket.spent + permits * MINUTE_US
    write_bucket(bucket)
  end
end

local function give_back(limit, permits)
  if limit > 0 and permits ~= 0 then
    local bucket = read_bucket('tokens', limit)
    bucket.spent = math.max(bucket.spent - permits * MINUTE_US, 0)
    write_bucket(bucket)
  end
end

local function level(name, limit)
  if limit == 0 then return 0, 0 end
  local bucket = read_bucket(name, limit)
  local left = math.max(math.floor((limit * MINUTE_US - bucket.spent) / MINUTE_US), 0)
  return left, math.ceil(bucket.spent / limit / 1000)
end

-- What every answer ends with: what is left of both limits, and until when (ms).
local function answer(word, number, requests_limit, tokens_limit)
  local requests, requests_ms = level('requests', requests_limit)
  local tokens, tokens_ms = level('tokens', tokens_limit)
  return { word, whole(number), requests, requests_ms, tokens, tokens_ms }
end

-- Requests that are not in the ledger.

local function parse(text)
  local state, house, nanos, tokens, made = string.match(text, '^(%u)|(%d+)|(%-?%d+)|(%-?%d+)|(%d+)$')
  return { state = state, house = house, nanos = nanos, tokens = tonumber(tokens), made = made }
end

local function find(id)
  local text = redis.call('HGET', purse, 'h:' .. id)
  return text and parse(text)
end

local function keep(id, state, house, nanos, tokens, made)
  redis.call('HSET', purse, 'h:' .. id, table.concat({ state, house, nanos, tokens, made }, '|'))
end

-- The request holds nothing any more: its money is available, its place and tokens are free.
local function release(request, tokens_limit, used, is_abandoned)
  add('available', request.nanos)
  if request.state == 'H' then
    add('in_flight', -1)
    -- The estimate of an abandoned call stays taken, as far as it goes.
    local unused = request.tokens - used
    if request.tokens >= 0 and (unused < 0 or not is_abandoned) then
      give_back(tokens_limit, unused)
    end
  end
end

local function set_ledger(nanos, line)
  local known = redis.call('HMGET', purse, 'ledger', 'line')
  if tonumber(line) > tonumber(known[2]) then
    add('available', nanos)
    add('available', negated(known[1]))
    redis.call('HSET', purse, 'ledger', nanos, 'line', line)
  end
end

local deeds = {}

-- requests/min, tokens/min: a permit for one request. `requests` and the wait, if there is none.
function deeds.take()
  local requests_limit, tokens_limit = tonumber(ARGV[2]), tonumber(ARGV[3])
  local bucket = read_bucket('requests', requests_limit)
  local wait = wait_us(bucket, 1)
  if wait == 0 then take(bucket, 1) end
  return answer(wait == 0 and 'ok' or 'requests', wait, requests_limit, tokens_limit)
end

-- Holds the money; or says what refuses it: a word and the nanos that are missing.
local function hold(reserve, concurrency_max)
  local in_flight = tonumber(redis.call('HGET', purse, 'in_flight'))
  if concurrency_max > 0 and in_flight >= concurrency_max then return 'concurrency', 0 end
  local left = add('available', negated(reserve))
  if left < 0 and reserve ~= '0' then -- what costs nothing is not refused for a debt
    add('available', reserve)
    return 'balance', -left
  end
end

-- Takes the tokens; or says what refuses them: a word and the microseconds to wait.
local function take_tokens(tokens, requests_limit, tokens_limit)
  local bucket = read_bucket('tokens', tokens_limit)
  local wait = wait_us(bucket, tokens)
  if wait == 0 then
    take(bucket, tokens)
  elseif wait < 0 then
    return 'never', 0
  else
    -- Whoever comes back needs a permit for a request again.
    return 'tokens', math.max(wait, wait_us(read_bucket('requests', requests_limit), 1))
  end
end

-- request, house, nanos to hold, tokens to take, requests/min, tokens/min, at once, enforce
function deeds.admit()
  local id, house, reserve, tokens = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
  local requests_limit, tokens_limit = tonumber(ARGV[6]), tonumber(ARGV[7])
  local is_enforced = ARGV[9] ~= '0'
  if find(id) then return answer('ok', 0, requests_limit, tokens_limit) end
  local word, number = hold(reserve, tonumber(ARGV[8]))
  if word and is_enforced then return answer(word, number, requests_limit, tokens_limit) end
  if word then add('available', negated(reserve)) end
  local tokens_word, wait = take_tokens(tokens, requests_limit, tokens_limit)
  if tokens_word then
    if is_enforced then
      add('available', reserve)
      return answer(tokens_word, wait, requests_limit, tokens_limit)
    end
    word, number, tokens = tokens_word, wait, -1 -- none were taken: none are corrected
  end
  add('in_flight', 1)
  keep(id, 'H', house, reserve, whole(tokens), time[1])
  return answer(word or 'ok', number or 0, requests_limit, tokens_limit)
end

-- request, nanos, tokens used, requests/min, tokens/min: it ended, and will be in the ledger.
function deeds.settle()
  local id, cost, used = ARGV[2], ARGV[3], tonumber(ARGV[4])
  local requests_limit, tokens_limit = tonumber(ARGV[5]), tonumber(ARGV[6])
  local request = find(id)
  if request and request.state == 'H' then
    release(request, tokens_limit, used, false)
    add('available', negated(cost))
    keep(id, 'S', request.house, cost, 0, request.made)
  end
  return answer('ok', 0, requests_limit, tokens_limit)
end

-- request, tokens/min: it never ran.
function deeds.void()
  local request = find(ARGV[2])
  if request and request.state == 'H' then
    release(request, tonumber(ARGV[3]), 0, false)
    redis.call('HDEL', purse, 'h:' .. ARGV[2])
  end
  return answer('ok', 0, 0, 0)
end

-- The ledger's nanos and line, tokens/min, then for each request: itself, tokens used, abandoned.
-- These are in the ledger by that line, or never ran.
function deeds.post()
  set_ledger(ARGV[2], ARGV[3])
  for at = 5, #ARGV, 3 do
    local request = find(ARGV[at])
    if request then
      release(request, tonumber(ARGV[4]), tonumber(ARGV[at + 1]), ARGV[at + 2] == '1')
      redis.call('HDEL', purse, 'h:' .. ARGV[at])
    end
  end
  return answer('ok', 0, 0, 0)
end

local function close(us)
  redis.call('HSET', purse, 'closed_until', whole(now_us + us), 'closed_us', whole(us))
end

-- Microseconds until it is open again; nil: it is not there. A clock that went back closes it anew,
-- not for the hour that it went.
local function wait_until_open()
  local found = redis.call('HMGET', purse, 'closed_until', 'closed_us')
  if not found[1] then return nil end
  local wait, longest = tonumber(found[1]) - now_us, tonumber(found[2] or '0')
  if wait > longest and longest > 0 then
    close(longest)
    return longest
  end
  return wait
end

-- The ledger's nanos and line, microseconds to be closed if it is made now, and if it is there.
function deeds.open()
  local closed_us = tonumber(ARGV[5])
  if redis.call('EXISTS', purse) == 0 then
    redis.call('HSET', purse, 'ledger', ARGV[2], 'line', ARGV[3], 'available', ARGV[2],
      'in_flight', 0, 'closed_until', 0)
    closed_us = tonumber(ARGV[4])
  end
  set_ledger(ARGV[2], ARGV[3])
  if closed_us > 0 then close(closed_us) end
  return answer('ok', 0, 0, 0)
end

-- house, then for each request: itself, state, nanos, tokens taken. Those that are missing are kept.
function deeds.declare()
  for at = 3, #ARGV, 4 do
    if not find(ARGV[at]) then
      add('available', negated(ARGV[at + 2]))
      if ARGV[at + 1] == 'H' then add('in_flight', 1) end
      keep(ARGV[at], ARGV[at + 1], ARGV[2], ARGV[at + 2], ARGV[at + 3], time[1])
    end
  end
  return answer('ok', 0, 0, 0)
end

-- requests/min, tokens/min: what there is. The answer's number is the requests in flight, and the
-- available nanos come last, in full.
function deeds.look()
  local found = redis.call('HMGET', purse, 'in_flight', 'available')
  local told = answer('ok', tonumber(found[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
  table.insert(told, found[2])
  return told
end

local deed = ARGV[1]
if deed ~= 'open' then
  local wait = wait_until_open()
  if not wait then return { 'unknown', '0', 0, 0, 0, 0 } end
  if wait > 0 and (deed == 'take' or deed == 'admit') then
    return { 'closed', whole(wait), 0, 0, 0, 0 }
  end
end
return deeds[deed]()
