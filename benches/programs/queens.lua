-- The eight queens, by trying and going back: arrays in fields, recursion. A round finds the first placement.
local Queens = {}
Queens.__index = Queens

local function filled(size, value)
  local array = {}
  for i = 1, size do array[i] = value end
  return array
end

function Queens:place()
  self.free_rows = filled(8, true)
  self.free_maxs = filled(16, true)
  self.free_mins = filled(16, true)
  self.columns = filled(8, 0)
  return self:place_from(1)
end

function Queens:place_from(column)
  for row = 1, 8 do
    if self:is_free(row, column) then
      self.columns[row] = column
      self:set_free(row, column, false)
      if column == 8 then return true end
      if self:place_from(column + 1) then return true end
      self:set_free(row, column, true)
    end
  end
  return false
end

function Queens:is_free(row, column)
  return self.free_rows[row] and self.free_maxs[column + row] and self.free_mins[column - row + 8]
end

function Queens:set_free(row, column, is_free)
  self.free_rows[row] = is_free
  self.free_maxs[column + row] = is_free
  self.free_mins[column - row + 8] = is_free
end

local queens = setmetatable({}, Queens)
for _ = 1, tonumber((...)) do
  assert(queens:place())
  assert(table.concat(queens.columns) == '17582463')
end
print(table.concat(queens.columns))
