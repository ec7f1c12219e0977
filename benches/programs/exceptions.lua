-- Errors: raised, caught, passed on, retried, and cleaned up after; and protected calls where nothing happens. A round makes
-- a thousand orders, one of seven of which fails.
local OrderError = {}
OrderError.__index = OrderError
function OrderError.new(order, text, is_out_of_stock)
  return setmetatable({ order = order, text = text, is_out_of_stock = is_out_of_stock }, OrderError)
end

local open, handled, cleaned, retries

-- Fails for each seventh order, for each fourteenth as out of stock.
local function check(order)
  if order % 14 == 0 then error(OrderError.new(order, 'nothing is left', true)) end
  if order % 7 == 0 then error(OrderError.new(order, 'no such order', false)) end
  return order
end

-- Some calls below the handler.
local function deliver(order, depth)
  if depth == 0 then return check(order) end
  return deliver(order, depth - 1) + 1
end

local function process(order)
  open = open + 1
  local went_well, answer = pcall(deliver, order, 5)
  local failure
  if not went_well then
    if answer.is_out_of_stock then
      handled = handled + 1
      answer = 0 - answer.order
    else
      failure = answer
    end
  end
  open = open - 1
  cleaned = cleaned + 1
  if failure then error(failure) end
  return answer
end

-- Succeeds the third time.
local function retried(order)
  local tries = 0
  while true do
    local went_well, answer = pcall(function()
      tries = tries + 1
      if tries < 3 then error(OrderError.new(order)) end
      return order
    end)
    if went_well then return answer end
    retries = retries + 1
  end
end

local sum
for _ = 1, tonumber((...)) do
  open, handled, cleaned, retries = 0, 0, 0, 0
  sum = 0
  for order = 1, 1000 do
    local went_well, answer = pcall(process, order)
    if went_well then
      sum = sum + answer
    else
      handled = handled + 1
      sum = sum + answer.order * 2
    end
    if order % 50 == 0 then sum = sum + retried(order) end
  end
  assert(open == 0)
  assert(handled == 142)
  assert(cleaned == 1000)
  assert(retries == 40)
  assert(sum == 479009)
end
print(sum)
