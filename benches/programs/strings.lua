-- Text built, taken apart and changed: what a program that reads and writes lines does all day. A round writes a thousand
-- lines of readings, reads them again, and writes a report.
local seed
local function next_number()
  seed = (seed * 1309 + 13849) % 65536
  return seed
end

local function write_lines()
  local parts = {}
  for index = 1, 1000 do
    parts[#parts + 1] = 'plant-1/line-'
    parts[#parts + 1] = next_number() % 7
    parts[#parts + 1] = '/pump-'
    parts[#parts + 1] = index
    parts[#parts + 1] = ';'
    parts[#parts + 1] = next_number() % 1000
    parts[#parts + 1] = ';'
    parts[#parts + 1] = next_number() % 2 == 0 and 'bar' or 'litre'
    parts[#parts + 1] = '\n'
  end
  return table.concat(parts)
end

local function split(text)
  local fields = {}
  for field in text:gmatch('[^;]+') do fields[#fields + 1] = field end
  return fields
end

-- The lines in capitals of those who measure pressure, their unit written out, and the sum of all readings.
local function report_of(text)
  local sum, lines = 0, {}
  for line in text:gmatch('[^\n]+') do
    local fields = split(line)
    sum = sum + tonumber(fields[2])
    if fields[3] == 'bar' then lines[#lines + 1] = fields[1]:upper() .. ': ' .. fields[2] .. ' pascal' end
  end
  lines[#lines + 1] = 'sum: ' .. sum
  return (table.concat(lines, '\n'):gsub('PLANT%-1', 'Works 17'))
end

-- How many characters are vowels, looked at one by one.
local function vowels_in(text)
  local count = 0
  for index = 1, #text do
    local character = text:sub(index, index)
    if character == 'e' or character == 'i' or character == 'a' or character == 'o' or character == 'u' then
      count = count + 1
    end
  end
  return count
end

local text, report
for _ = 1, tonumber((...)) do
  seed = 74755
  text = write_lines()
  report = report_of(text)
  assert(#text == 32774)
  assert(#report == 18401)
  assert(report:sub(-11) == 'sum: 497548')
  assert(report:find('Works 17/LINE-3/PUMP-995', 1, true) == 18281)
  assert(vowels_in(text) == 5500)
end
print(string.format('%d', #text * 100000 + #report))
