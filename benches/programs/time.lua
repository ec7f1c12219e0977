-- Runs a program with its size and prints how many seconds of a processor that took: `lua5.4 time.lua sieve.lua 100`.
local program = assert(loadfile(arg[1]))
local start = os.clock()
program(arg[2])
print(os.clock() - start)
