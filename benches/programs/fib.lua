-- Fibonacci numbers by recursion: method calls and small integers, nothing else. The argument is the index of the number.
local Fib = {}
Fib.__index = Fib

function Fib:of(n)
  if n < 2 then return n else return self:of(n - 1) + self:of(n - 2) end
end

-- The same in a loop.
function Fib:expected(n)
  local last, this = 0, 1
  for _ = 1, n do last, this = this, last + this end
  return last
end

local n = tonumber((...))
local fib = setmetatable({}, Fib)
local number = fib:of(n)
assert(number == fib:expected(n))
print(string.format('%d', number))
