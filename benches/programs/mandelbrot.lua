-- The Mandelbrot set: floats in locals. The argument is the width of the image; the answer is the exclusive or of its
-- bytes, eight points each.
local xor = bit and bit.bxor or load('return function(a, b) return a ~ b end')()

local function image_of(size)
  local sum, byte, bits = 0, 0, 0
  for row = 0, size - 1 do
    local ci = 2.0 * row / size - 1.0
    for column = 0, size - 1 do
      local cr = 2.0 * column / size - 1.5
      local zi, zrzr, zizi = 0.0, 0.0, 0.0
      local count = 0
      while zrzr + zizi <= 4.0 and count < 50 do
        local zr = zrzr - zizi + cr
        zi = 2.0 * zr * zi + ci
        zrzr = zr * zr
        zizi = zi * zi
        count = count + 1
      end
      byte = byte + byte
      if zrzr + zizi > 4.0 then byte = byte + 1 end
      bits = bits + 1
      if bits == 8 then sum = xor(sum, byte); byte = 0; bits = 0 end
    end
    if bits > 0 then
      for _ = bits + 1, 8 do byte = byte + byte end
      sum = xor(sum, byte); byte = 0; bits = 0
    end
  end
  return sum
end

local size = tonumber((...))
local sum = image_of(size)
assert(size ~= 1 or sum == 128)
assert(size ~= 100 or sum == 239)
assert(size ~= 500 or sum == 191)
print(sum)
