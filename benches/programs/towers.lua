-- The towers of Hanoi with thirteen disks: linked objects on three piles. A round moves them all and counts the moves.
local Towers = {}
Towers.__index = Towers

function Towers:move_all()
  self.piles = {}
  self.moves = 0
  for size = 13, 1, -1 do self:push({ size = size, next = nil }, 1) end
  self:move(13, 1, 2)
  return self.moves
end

function Towers:push(disk, pile)
  local top = self.piles[pile]
  if top and disk.size >= top.size then error('a disk lies on no smaller one') end
  disk.next = top
  self.piles[pile] = disk
end

function Towers:pop(pile)
  local top = self.piles[pile]
  if not top then error('there is no disk') end
  self.piles[pile] = top.next
  top.next = nil
  return top
end

function Towers:move_top(from, to)
  self:push(self:pop(from), to)
  self.moves = self.moves + 1
end

function Towers:move(count, from, to)
  if count == 1 then return self:move_top(from, to) end
  local other = 6 - from - to
  self:move(count - 1, from, other)
  self:move_top(from, to)
  self:move(count - 1, other, to)
end

local towers = setmetatable({}, Towers)
for _ = 1, tonumber((...)) do assert(towers:move_all() == 8191) end
print(towers.moves)
