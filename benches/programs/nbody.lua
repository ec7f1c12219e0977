-- The sun and four planets under their gravity: floats in fields of tables. The argument is the number of steps of a
-- hundredth of a day; the answer is the energy of the system in 10^-12 of its unit.
local sqrt = math.sqrt
local SOLAR_MASS = 39.47841760435743

local Body = {}
Body.__index = Body

function Body.new(x, y, z, vx, vy, vz, mass)
  return setmetatable({
    x = x, y = y, z = z, vx = vx * 365.24, vy = vy * 365.24, vz = vz * 365.24, mass = mass * SOLAR_MASS,
  }, Body)
end

-- Changes the velocities of both by their attraction over the time `dt`.
function Body:attract(other, dt)
  local dx = self.x - other.x
  local dy = self.y - other.y
  local dz = self.z - other.z
  local square = dx * dx + dy * dy + dz * dz
  local pull = dt / (square * sqrt(square))
  local mass = other.mass
  self.vx = self.vx - dx * mass * pull
  self.vy = self.vy - dy * mass * pull
  self.vz = self.vz - dz * mass * pull
  mass = self.mass
  other.vx = other.vx + dx * mass * pull
  other.vy = other.vy + dy * mass * pull
  other.vz = other.vz + dz * mass * pull
end

function Body:move(dt)
  self.x = self.x + dt * self.vx
  self.y = self.y + dt * self.vy
  self.z = self.z + dt * self.vz
end

-- Takes the impulse of all bodies, so that the system rests.
function Body:offset(px, py, pz)
  self.vx = 0.0 - px / SOLAR_MASS
  self.vy = 0.0 - py / SOLAR_MASS
  self.vz = 0.0 - pz / SOLAR_MASS
end

function Body:kinetic_energy()
  return 0.5 * self.mass * (self.vx * self.vx + self.vy * self.vy + self.vz * self.vz)
end

function Body:potential(other)
  local dx = self.x - other.x
  local dy = self.y - other.y
  local dz = self.z - other.z
  return self.mass * other.mass / sqrt(dx * dx + dy * dy + dz * dz)
end

local NBody = {}
NBody.__index = NBody

function NBody.new()
  local bodies = {
    Body.new(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    Body.new( -- Jupiter
      4.8414314424647209, -1.16032004402742839, -0.103622044471123109,
      0.00166007664274403694, 0.00769901118419740425, -0.0000690460016972063023,
      0.000954791938424326609),
    Body.new( -- Saturn
      8.34336671824457987, 4.12479856412430479, -0.403523417114321381,
      -0.00276742510726862411, 0.00499852801234917238, 0.0000230417297573763929,
      0.000285885980666130812),
    Body.new( -- Uranus
      12.894369562139131, -15.1111514016986312, -0.223307578892655734,
      0.00296460137564761618, 0.0023784717395948095, -0.0000296589568540237556,
      0.0000436624404335156298),
    Body.new( -- Neptune
      15.3796971148509165, -25.9193146099879641, 0.179258772950371181,
      0.00268067772490389322, 0.00162824170038242295, -0.000095159225451971587,
      0.0000515138902046611451),
  }
  local px, py, pz = 0.0, 0.0, 0.0
  for _, body in ipairs(bodies) do
    px = px + body.vx * body.mass
    py = py + body.vy * body.mass
    pz = pz + body.vz * body.mass
  end
  bodies[1]:offset(px, py, pz)
  return setmetatable({ bodies = bodies }, NBody)
end

function NBody:advance(dt)
  local bodies = self.bodies
  for index = 1, #bodies do
    local body = bodies[index]
    for other = index + 1, #bodies do body:attract(bodies[other], dt) end
  end
  for index = 1, #bodies do bodies[index]:move(dt) end
end

function NBody:energy()
  local bodies, energy = self.bodies, 0.0
  for index = 1, #bodies do
    local body = bodies[index]
    energy = energy + body:kinetic_energy()
    for other = index + 1, #bodies do energy = energy - body:potential(bodies[other]) end
  end
  return energy
end

local steps = tonumber((...))
local system = NBody.new()
for _ = 1, steps do system:advance(0.01) end
local energy = system:energy()
assert(steps ~= 1 or energy == -0.16907495402506745)
assert(steps ~= 10000 or energy == -0.16901644126443094)
assert(steps ~= 250000 or energy == -0.1690859889909308)
print(string.format("%.0f", energy * 1e12))
