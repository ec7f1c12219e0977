-- A tree of arrays, made and dropped: allocation and nothing else. A round makes one of depth seven, four branches each,
-- whose leaves are arrays of one to ten elements, and counts its arrays.
local Numbers = {}
Numbers.__index = Numbers

function Numbers:next()
  self.seed = (self.seed * 1309 + 13849) % 65536
  return self.seed
end

local Storage = {}
Storage.__index = Storage

function Storage:build_tree()
  self.count = 0
  self:tree_of_depth(7, setmetatable({ seed = 74755 }, Numbers))
  return self.count
end

function Storage:tree_of_depth(depth, numbers)
  self.count = self.count + 1
  -- Lua has no arrays of a size without elements: the leaf keeps its size.
  if depth == 1 then return { n = numbers:next() % 10 + 1 } end
  local branches = {}
  for index = 1, 4 do branches[index] = self:tree_of_depth(depth - 1, numbers) end
  return branches
end

local storage = setmetatable({}, Storage)
for _ = 1, tonumber((...)) do assert(storage:build_tree() == 5461) end
print(storage.count)
