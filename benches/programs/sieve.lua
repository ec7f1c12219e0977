-- The sieve of Eratosthenes: an array of booleans, read and written. A round finds the primes up to 5,000.
local function primes_up_to(size)
  local flags = {}
  for i = 1, size do flags[i] = true end
  local count = 0
  for number = 2, size do
    if flags[number] then
      count = count + 1
      local multiple = number + number
      while multiple <= size do
        flags[multiple] = false
        multiple = multiple + number
      end
    end
  end
  return count
end

local count
for _ = 1, tonumber((...)) do
  count = primes_up_to(5000)
  assert(count == 669)
end
print(count)
