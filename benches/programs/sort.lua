-- Sorting by the library: numbers, numbers by a function, tables by a key, and text. A round sorts four times five thousand.
local sort = table.sort

local seed = 74755
local function next_number()
  seed = (seed * 1309 + 13849) % 65536
  return seed
end

local numbers, readings, names = {}, {}, {}
for index = 1, 5000 do
  local high = next_number()
  numbers[index] = high * 65536 + next_number()
end
for index = 1, 5000 do readings[index] = { number = index, value = next_number() } end
for index = 1, 5000 do names[index] = 'pump-' .. next_number() end

local function copy(list)
  local new = {}
  for index = 1, #list do new[index] = list[index] end
  return new
end

-- A number that tells orders apart.
local function digest_of(list)
  local digest = 0
  for _, each in ipairs(list) do digest = (digest * 31 + each) % 1000003 end
  return digest
end

local digest
for _ = 1, tonumber((...)) do
  local sorted = copy(numbers)
  sort(sorted)
  digest = digest_of(sorted)
  assert(digest == 114330)
  sorted = copy(numbers)
  sort(sorted, function(one, other) return one > other end)
  assert(digest_of(sorted) == 481040)
  sorted = copy(readings)
  sort(sorted, function(one, other)
    return one.value < other.value or (one.value == other.value and one.number < other.number)
  end)
  local order = {}
  for index, each in ipairs(sorted) do order[index] = each.number end
  assert(digest_of(order) == 380293)
  sorted = copy(names)
  sort(sorted)
  assert(sorted[1] == 'pump-100' and sorted[5000] == 'pump-9993')
end
print(digest)
