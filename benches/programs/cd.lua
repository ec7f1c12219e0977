-- CD: aircraft that come too near to each other, found in 200 frames of a simulated sky. Floats in small tables, and
-- red-black trees whose keys are compared by methods. The argument is the number of aircraft.
local sqrt, floor, sin, cos = math.sqrt, math.floor, math.sin, math.cos

local MAX_X, MAX_Y, MAX_Z = 1000.0, 1000.0, 10.0
local VOXEL_SIZE, RADIUS = 2.0, 1.0

local Vector2 = {}
Vector2.__index = Vector2
function Vector2.new(x, y) return setmetatable({ x = x, y = y }, Vector2) end
function Vector2:plus(other) return Vector2.new(self.x + other.x, self.y + other.y) end
function Vector2:minus(other) return Vector2.new(self.x - other.x, self.y - other.y) end

function Vector2:compare(other)
  if self.x < other.x then return -1 end
  if self.x > other.x then return 1 end
  if self.y < other.y then return -1 end
  if self.y > other.y then return 1 end
  return 0
end

local Vector3 = {}
Vector3.__index = Vector3
function Vector3.new(x, y, z) return setmetatable({ x = x, y = y, z = z }, Vector3) end
function Vector3:plus(other) return Vector3.new(self.x + other.x, self.y + other.y, self.z + other.z) end
function Vector3:minus(other) return Vector3.new(self.x - other.x, self.y - other.y, self.z - other.z) end
function Vector3:times(factor) return Vector3.new(self.x * factor, self.y * factor, self.z * factor) end
function Vector3:dot(other) return self.x * other.x + self.y * other.y + self.z * other.z end
function Vector3:squared_length() return self:dot(self) end
function Vector3:length() return sqrt(self:squared_length()) end

local Node = {}
Node.__index = Node

function Node.new(key, value, parent)
  return setmetatable({ key = key, value = value, left = nil, right = nil, parent = parent, is_red = true }, Node)
end

function Node:successor()
  if self.right then
    local node = self.right
    while node.left do node = node.left end
    return node
  end
  local node, above = self, self.parent
  while above and node == above.right do node, above = above, above.parent end
  return above
end

local RedBlackTree = {}
RedBlackTree.__index = RedBlackTree
function RedBlackTree.new() return setmetatable({ root = nil }, RedBlackTree) end

-- Puts a value under a key. Answers the value that was there, or nil.
function RedBlackTree:put(key, value)
  local above, order
  local node = self.root
  while node do
    above = node
    order = key:compare(node.key)
    if order == 0 then
      local old = node.value
      node.value = value
      return old
    end
    if order < 0 then node = node.left else node = node.right end
  end
  node = Node.new(key, value, above)
  if not above then
    self.root = node
  elseif order < 0 then
    above.left = node
  else
    above.right = node
  end
  self:balance_at(node)
  return nil
end

-- Sets the tree right after a red node was put in.
function RedBlackTree:balance_at(node)
  while node ~= self.root and node.parent.is_red do
    local above = node.parent
    local top = above.parent
    if above == top.left then
      local uncle = top.right
      if uncle and uncle.is_red then
        above.is_red = false
        uncle.is_red = false
        top.is_red = true
        node = top
      else
        if node == above.right then
          node = above
          self:rotate_left(node)
        end
        node.parent.is_red = false
        node.parent.parent.is_red = true
        self:rotate_right(node.parent.parent)
      end
    else
      local uncle = top.left
      if uncle and uncle.is_red then
        above.is_red = false
        uncle.is_red = false
        top.is_red = true
        node = top
      else
        if node == above.left then
          node = above
          self:rotate_right(node)
        end
        node.parent.is_red = false
        node.parent.parent.is_red = true
        self:rotate_left(node.parent.parent)
      end
    end
  end
  self.root.is_red = false
end

function RedBlackTree:find(key)
  local node = self.root
  while node do
    local order = key:compare(node.key)
    if order == 0 then return node end
    if order < 0 then node = node.left else node = node.right end
  end
  return nil
end

-- The value under a key, or nil.
function RedBlackTree:at(key)
  local node = self:find(key)
  return node and node.value
end

local function is_black(node) return not node or not node.is_red end

function RedBlackTree:remove(key)
  local node = self:find(key)
  if not node then return end
  local out = (not node.left or not node.right) and node or node:successor()
  local child = out.left or out.right
  local above = out.parent
  if child then child.parent = above end
  if not above then
    self.root = child
  elseif out == above.left then
    above.left = child
  else
    above.right = child
  end
  if out ~= node then node.key, node.value = out.key, out.value end
  if not out.is_red then self:balance_from(child, above) end
end

-- Sets the tree right after a black node was taken out above `node`, which may be nil.
function RedBlackTree:balance_from(node, above)
  while node ~= self.root and is_black(node) do
    if node == above.left then
      local sibling = above.right
      if sibling.is_red then
        sibling.is_red = false
        above.is_red = true
        self:rotate_left(above)
        sibling = above.right
      end
      if is_black(sibling.left) and is_black(sibling.right) then
        sibling.is_red = true
        node = above
        above = node.parent
      else
        if is_black(sibling.right) then
          sibling.left.is_red = false
          sibling.is_red = true
          self:rotate_right(sibling)
          sibling = above.right
        end
        sibling.is_red = above.is_red
        above.is_red = false
        if sibling.right then sibling.right.is_red = false end
        self:rotate_left(above)
        node = self.root
        above = node.parent
      end
    else
      local sibling = above.left
      if sibling.is_red then
        sibling.is_red = false
        above.is_red = true
        self:rotate_right(above)
        sibling = above.left
      end
      if is_black(sibling.right) and is_black(sibling.left) then
        sibling.is_red = true
        node = above
        above = node.parent
      else
        if is_black(sibling.left) then
          sibling.right.is_red = false
          sibling.is_red = true
          self:rotate_left(sibling)
          sibling = above.left
        end
        sibling.is_red = above.is_red
        above.is_red = false
        if sibling.left then sibling.left.is_red = false end
        self:rotate_right(above)
        node = self.root
        above = node.parent
      end
    end
  end
  if node then node.is_red = false end
end

function RedBlackTree:rotate_left(node)
  local up = node.right
  node.right = up.left
  if up.left then up.left.parent = node end
  self:put_above(up, node)
  up.left = node
  node.parent = up
end

function RedBlackTree:rotate_right(node)
  local up = node.left
  node.left = up.right
  if up.right then up.right.parent = node end
  self:put_above(up, node)
  up.right = node
  node.parent = up
end

function RedBlackTree:put_above(up, node)
  local above = node.parent
  up.parent = above
  if not above then
    self.root = up
  elseif node == above.left then
    above.left = up
  else
    above.right = up
  end
end

-- Calls `action` with each key and value, by the order of the keys.
function RedBlackTree:each(action)
  local node = self.root
  if not node then return end
  while node.left do node = node.left end
  while node do
    action(node.key, node.value)
    node = node:successor()
  end
end

local CallSign = {}
CallSign.__index = CallSign
function CallSign.new(value) return setmetatable({ value = value }, CallSign) end

function CallSign:compare(other)
  if self.value == other.value then return 0 end
  if self.value < other.value then return -1 else return 1 end
end

-- The way of an aircraft in one frame.
local Motion = {}
Motion.__index = Motion
function Motion.new(call_sign, from, to) return setmetatable({ call_sign = call_sign, start = from, stop = to }, Motion) end

function Motion:delta() return self.stop:minus(self.start) end

-- Where both first are nearer than the radius in this frame, or nil: both move at constant speed, so the square of their
-- distance is a polynomial of second degree in time.
function Motion:intersection(other)
  local mine, its = self:delta(), other:delta()
  local a = its:minus(mine):squared_length()
  if a == 0.0 then
    if other.start:minus(self.start):length() <= RADIUS then return self.start:plus(other.start):times(0.5) end
    return nil
  end
  local b = 2.0 * self.start:minus(other.start):dot(mine:minus(its))
  local c = other.start:minus(self.start):squared_length() - RADIUS * RADIUS
  local discriminant = b * b - 4.0 * a * c
  if discriminant < 0.0 then return nil end
  local root = sqrt(discriminant)
  local first = (0.0 - b - root) / (2.0 * a)
  local last = (root - b) / (2.0 * a)
  if first <= last
    and ((first <= 1.0 and 1.0 <= last) or (first <= 0.0 and 0.0 <= last) or (0.0 <= first and last <= 1.0)) then
    local time = first <= 0.0 and 0.0 or first
    local position = self.start:plus(mine:times(time)):plus(other.start:plus(its:times(time))):times(0.5)
    if position.x >= 0.0 and position.x <= MAX_X and position.y >= 0.0 and position.y <= MAX_Y
      and position.z >= 0.0 and position.z <= MAX_Z then
      return position
    end
  end
  return nil
end

local Detector = {}
Detector.__index = Detector
local HORIZONTAL, VERTICAL = Vector2.new(VOXEL_SIZE, 0.0), Vector2.new(0.0, VOXEL_SIZE)

function Detector.new() return setmetatable({ state = RedBlackTree.new() }, Detector) end

-- The collisions in a frame: a list of aircraft where they are now.
function Detector:handle(frame)
  local motions = {}
  local seen = RedBlackTree.new()
  for index, aircraft in ipairs(frame) do
    local old = self.state:put(aircraft.call_sign, aircraft.position)
    seen:put(aircraft.call_sign, true)
    motions[index] = Motion.new(aircraft.call_sign, old or aircraft.position, aircraft.position)
  end
  local gone = {}
  self.state:each(function(call_sign) if not seen:at(call_sign) then gone[#gone + 1] = call_sign end end)
  for _, call_sign in ipairs(gone) do self.state:remove(call_sign) end
  local collisions = {}
  for _, near in ipairs(self:reduce(motions)) do
    for index = 1, #near do
      local motion = near[index]
      for next = index + 1, #near do
        local other = near[next]
        local position = motion:intersection(other)
        if position then
          collisions[#collisions + 1] = { one = motion.call_sign, other = other.call_sign, position = position }
        end
      end
    end
  end
  return collisions
end

-- The lists of motions that touch a common square of the plane.
function Detector:reduce(motions)
  local squares = RedBlackTree.new()
  for _, motion in ipairs(motions) do
    self:draw(motion, self:square_of(motion.start), squares, RedBlackTree.new())
  end
  local lists = {}
  squares:each(function(_, near) if #near > 1 then lists[#lists + 1] = near end end)
  return lists
end

function Detector:square_of(position)
  local x = VOXEL_SIZE * floor(position.x / VOXEL_SIZE)
  local y = VOXEL_SIZE * floor(position.y / VOXEL_SIZE)
  if position.x < 0.0 then x = x - VOXEL_SIZE end
  if position.y < 0.0 then y = y - VOXEL_SIZE end
  return Vector2.new(x, y)
end

function Detector:draw(motion, square, squares, seen)
  if not self:is_touched(square, motion) then return end
  if seen:put(square, true) then return end
  local near = squares:at(square)
  if not near then
    near = {}
    squares:put(square, near)
  end
  near[#near + 1] = motion
  self:draw(motion, square:minus(HORIZONTAL), squares, seen)
  self:draw(motion, square:plus(HORIZONTAL), squares, seen)
  self:draw(motion, square:minus(VERTICAL), squares, seen)
  self:draw(motion, square:plus(VERTICAL), squares, seen)
  self:draw(motion, square:minus(HORIZONTAL):minus(VERTICAL), squares, seen)
  self:draw(motion, square:minus(HORIZONTAL):plus(VERTICAL), squares, seen)
  self:draw(motion, square:plus(HORIZONTAL):minus(VERTICAL), squares, seen)
  self:draw(motion, square:plus(HORIZONTAL):plus(VERTICAL), squares, seen)
end

local function is_within(low, high)
  return (low <= 1.0 and 1.0 <= high) or (low <= 0.0 and 0.0 <= high) or (0.0 <= low and high <= 1.0)
end

function Detector:is_touched(square, motion)
  local x, y = square.x, square.y
  if x > MAX_X or x < 0.0 or y > MAX_Y or y < 0.0 then return false end
  local half = RADIUS / 2.0
  local start_x, start_y = motion.start.x, motion.start.y
  local dx, dy = motion.stop.x - start_x, motion.stop.y - start_y
  local low_x, high_x, low_y, high_y
  if dx == 0.0 then
    if not (x <= start_x + half and start_x - half <= x + VOXEL_SIZE) then return false end
  else
    low_x = (x - half - start_x) / dx
    high_x = (x + VOXEL_SIZE + half - start_x) / dx
    if dx < 0.0 then low_x, high_x = high_x, low_x end
    if not is_within(low_x, high_x) then return false end
  end
  if dy == 0.0 then
    if not (y <= start_y + half and start_y - half <= y + VOXEL_SIZE) then return false end
  else
    low_y = (y - half - start_y) / dy
    high_y = (y + VOXEL_SIZE + half - start_y) / dy
    if dy < 0.0 then low_y, high_y = high_y, low_y end
    if not is_within(low_y, high_y) then return false end
  end
  return dx == 0.0 or dy == 0.0
    or (low_y <= high_x and high_x <= high_y)
    or (low_y <= low_x and low_x <= high_y)
    or (low_x <= low_y and high_y <= high_x)
end

local count = tonumber((...))
local call_signs = {}
for index = 1, count do call_signs[index] = CallSign.new(index) end

local function frame_at(time)
  local frame = {}
  for index = 1, count - 1, 2 do
    local place = (index - 1) * 3
    frame[index] = { call_sign = call_signs[index], position = Vector3.new(time, cos(time) * 2.0 + place, 10.0) }
    frame[index + 1] = { call_sign = call_signs[index + 1], position = Vector3.new(time, sin(time) * 2.0 + place, 10.0) }
  end
  return frame
end

local detector = Detector.new()
local collisions = 0
for frame = 0, 199 do collisions = collisions + #detector:handle(frame_at(frame / 10.0)) end
assert(count ~= 2 or collisions == 42)
assert(count ~= 10 or collisions == 390)
assert(count ~= 100 or collisions == 4305)
print(collisions)
