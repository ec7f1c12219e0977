-- A recursion that compares the lengths of linked lists at each step (Takeuchi's function on lists). A round is one call
-- with lists of 15, 10 and 6 elements.
local Link = {}
Link.__index = Link

function Link:length()
  if self.next then return 1 + self.next:length() else return 1 end
end

local Lists = {}
Lists.__index = Lists

function Lists:list_of(length)
  if length == 0 then return nil end
  return setmetatable({ value = length, next = self:list_of(length - 1) }, Link)
end

function Lists:is_shorter(one, other)
  local left, right = one, other
  while right do
    if not left then return true end
    left = left.next
    right = right.next
  end
  return false
end

function Lists:tail(x, y, z)
  if self:is_shorter(y, x) then
    return self:tail(self:tail(x.next, y, z), self:tail(y.next, z, x), self:tail(z.next, x, y))
  else
    return z
  end
end

local lists = setmetatable({}, Lists)
local length
for _ = 1, tonumber((...)) do
  length = lists:tail(lists:list_of(15), lists:list_of(10), lists:list_of(6)):length()
  assert(length == 10)
end
print(length)
