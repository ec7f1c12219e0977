-- All orders of six numbers: recursion and exchanges in an array. A round counts how often the recursion was entered.
local Permute = {}
Permute.__index = Permute

function Permute:permute_all()
  self.count = 0
  self.elements = { 0, 1, 2, 3, 4, 5 }
  self:permute(6)
  return self.count
end

function Permute:permute(size)
  self.count = self.count + 1
  if size == 0 then return end
  self:permute(size - 1)
  for index = size, 1, -1 do
    self:exchange(size, index)
    self:permute(size - 1)
    self:exchange(size, index)
  end
end

function Permute:exchange(one, other)
  local elements = self.elements
  elements[one], elements[other] = elements[other], elements[one]
end

local permute = setmetatable({}, Permute)
for _ = 1, tonumber((...)) do assert(permute:permute_all() == 8660) end
print(permute.count)
