-- A body around a sun at the origin, leapfrog steps.
local Body = {}
Body.__index = Body
local sqrt = math.sqrt
function Body:step(dt)
  local square = self.x * self.x + self.y * self.y
  local pull = dt / (square * sqrt(square))
  self.vx = self.vx - self.x * pull
  self.vy = self.vy - self.y * pull
  self.x = self.x + self.vx * dt
  self.y = self.y + self.vy * dt
end
local function run(rounds)
  local body = setmetatable({ x = 1.0, y = 0.0, vx = 0.0, vy = 1.0 }, Body)
  for i = 1, rounds do body:step(0.001) end
  return math.floor(body.x * 1000000.0 + 0.5)
end
local start = os.clock()
local result = run(tonumber(arg[1]))
local seconds = os.clock() - start
print(result)
print(seconds)
