-- A hundred balls in a box for fifty steps: fields of many tables, read, compared and assigned. A round counts how often
-- they bounce.
local abs = math.abs

local Numbers = {}
Numbers.__index = Numbers

function Numbers:next()
  self.seed = (self.seed * 1309 + 13849) % 65536
  return self.seed
end

local Ball = {}
Ball.__index = Ball

function Ball.new(numbers)
  return setmetatable({
    x = numbers:next() % 500,
    y = numbers:next() % 500,
    x_velocity = numbers:next() % 300 - 150,
    y_velocity = numbers:next() % 300 - 150,
  }, Ball)
end

-- Moves one step. Answers whether it met a wall.
function Ball:bounce()
  local bounced = false
  self.x = self.x + self.x_velocity
  self.y = self.y + self.y_velocity
  if self.x > 500 then self.x = 500; self.x_velocity = 0 - abs(self.x_velocity); bounced = true end
  if self.x < 0 then self.x = 0; self.x_velocity = abs(self.x_velocity); bounced = true end
  if self.y > 500 then self.y = 500; self.y_velocity = 0 - abs(self.y_velocity); bounced = true end
  if self.y < 0 then self.y = 0; self.y_velocity = abs(self.y_velocity); bounced = true end
  return bounced
end

local function bounces()
  local numbers = setmetatable({ seed = 74755 }, Numbers)
  local balls = {}
  for i = 1, 100 do balls[i] = Ball.new(numbers) end
  local count = 0
  for _ = 1, 50 do
    for _, ball in ipairs(balls) do
      if ball:bounce() then count = count + 1 end
    end
  end
  return count
end

local count
for _ = 1, tonumber((...)) do
  count = bounces()
  assert(count == 1331)
end
print(count)
