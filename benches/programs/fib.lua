-- Fibonacci numbers by recursion, as a method.
local Fib = {}
Fib.__index = Fib
function Fib:of(n)
  if n < 2 then return n else return self:of(n - 1) + self:of(n - 2) end
end
local start = os.clock()
local result = setmetatable({}, Fib):of(tonumber(arg[1]))
local seconds = os.clock() - start
print(result)
print(seconds)
