-- Tables with integers, strings and tables as keys: put, found, counted, removed, gone through. A round does that with ten
-- thousand keys.
local seed
local function next_number()
  seed = (seed * 1309 + 13849) % 65536
  return seed
end

local names, pumps = {}, {}
for index = 1, 2000 do names[index] = 'pump-' .. index end
for index = 1, 1000 do pumps[index] = { number = index } end

-- Integers of a wide range: how often each comes, then every third removed again.
local function count_numbers()
  seed = 74755
  local counts = {}
  for _ = 1, 10000 do
    local number = next_number() * 4099 % 16384
    counts[number] = (counts[number] or 0) + 1
  end
  for number = 0, 16383, 3 do counts[number] = nil end
  local sum = 0
  for key, count in pairs(counts) do sum = sum + key * count end
  return sum
end

-- Names: a reading added to each of 2,000, five times.
local function add_readings()
  seed = 74755
  local readings, size = {}, 0
  for _ = 1, 5 do
    for _, name in ipairs(names) do
      local reading = readings[name]
      if not reading then
        reading = 0
        size = size + 1
      end
      readings[name] = reading + next_number() % 16
    end
  end
  local sum = 0
  for _, name in ipairs(names) do sum = sum + readings[name] end
  return sum * 10000 + size
end

-- Objects by identity: each one's neighbour, followed around.
local function follow_pumps()
  local next = {}
  for index = 1, 1000 do next[pumps[index]] = pumps[index * 7 % 1000 + 1] end
  local pump, sum = pumps[1], 0
  for _ = 1, 10000 do
    pump = next[pump]
    sum = sum + pump.number
  end
  return sum
end

local sum
for _ = 1, tonumber((...)) do
  assert(count_numbers() == 54609845)
  assert(add_readings() == 750002000)
  sum = follow_pumps()
  assert(sum == 4665000)
end
print(sum)
