-- One method call and one field update a round.
local Counter = {}
Counter.__index = Counter
function Counter:tick() self.count = self.count + 1 end
local function run(rounds)
  local other = setmetatable({ count = 0 }, Counter)
  for i = 1, rounds do other:tick() end
  return other.count
end
local start = os.clock()
local result = run(tonumber(arg[1]))
local seconds = os.clock() - start
print(result)
print(seconds)
