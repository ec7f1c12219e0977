-- Primes below a number, ten times.
local function below(limit)
  local crossed = {}
  for i = 1, limit do crossed[i] = false end
  local count = 0
  for n = 2, limit - 1 do
    if not crossed[n] then
      count = count + 1
      for multiple = n + n, limit - 1, n do crossed[multiple] = true end
    end
  end
  return count
end
local start = os.clock()
local sum = 0
for round = 1, 10 do sum = sum + below(tonumber(arg[1])) end
local seconds = os.clock() - start
print(sum)
print(seconds)
