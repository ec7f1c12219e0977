-- Functions: handed to functions that go through lists, made by functions, kept, chained. A round goes through a list of a
-- thousand numbers in many ways.
local function collect(list, block)
  local new = {}
  for index = 1, #list do new[index] = block(list[index]) end
  return new
end

local function select_from(list, block)
  local new = {}
  for index = 1, #list do
    local each = list[index]
    if block(each) then new[#new + 1] = each end
  end
  return new
end

local function inject(list, start, block)
  local answer = start
  for index = 1, #list do answer = block(answer, list[index]) end
  return answer
end

local function each_with_index(list, block)
  for index = 1, #list do block(list[index], index) end
end

local function each_reversed(list, block)
  for index = #list, 1, -1 do block(list[index]) end
end

local function any(list, block)
  for index = 1, #list do
    if block(list[index]) then return true end
  end
  return false
end

local function all(list, block)
  for index = 1, #list do
    if not block(list[index]) then return false end
  end
  return true
end

local function count_of(list, block)
  local count = 0
  for index = 1, #list do
    if block(list[index]) then count = count + 1 end
  end
  return count
end

local function detect(list, block)
  for index = 1, #list do
    if block(list[index]) then return list[index] end
  end
  return 0
end

local numbers = {}
for index = 1, 1000 do numbers[index] = index end

-- Through the functions that take a function.
local function collections()
  local squares = collect(numbers, function(each) return each * each end)
  local even = select_from(squares, function(each) return each % 2 == 0 end)
  local sum = inject(even, 0, function(total, each) return total + each end)
  each_with_index(numbers, function(each, index) sum = sum + (each - index) end)
  each_reversed(numbers, function(each) sum = sum + each end)
  if any(numbers, function(each) return each > 999 end) then sum = sum + 1 end
  if all(numbers, function(each) return each > 0 end) then sum = sum + 1 end
  return sum + count_of(numbers, function(each) return each % 7 == 0 end)
end

local function searches()
  local sum = 0
  for limit = 1, 20 do
    sum = sum + detect(numbers, function(each) return each * each > limit end)
  end
  return sum + detect(numbers, function(each) return each * 3 > 2000 end)
end

-- A function with a variable of its own.
local function counter_from(start)
  local count = start
  return function()
    count = count + 1
    return count
  end
end

local function counters()
  local one, other = counter_from(0), counter_from(100)
  local sum = 0
  for _ = 1, 1000 do sum = sum + one() + other() end
  return sum
end

-- A function that does what two functions do, one after the other.
local function chain_of(first, second)
  return function(value) return second(first(value)) end
end

local function chains()
  local increment = function(value) return value + 1 end
  local double = function(value) return value + value end
  local chain = increment
  for _ = 1, 3 do chain = chain_of(chain_of(chain, double), increment) end
  local sum = 0
  for _, each in ipairs(numbers) do sum = sum + chain(each) end
  return sum
end

local sum
for _ = 1, tonumber((...)) do
  sum = collections() + searches() + counters() + chains()
  assert(sum == 172788385)
end
print(sum)
