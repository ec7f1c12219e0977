-- A parser of JSON that reads a text character by character and makes objects of it. The text, 23 thousand characters about
-- the machines of a plant, is made once; a round parses it and counts the values in it.
local sub = string.sub

local JsonLiteral = {}
JsonLiteral.__index = JsonLiteral
function JsonLiteral:is_true() return self.text == 'true' end
function JsonLiteral:count() return 1 end

local JsonNumber = {}
JsonNumber.__index = JsonNumber
function JsonNumber:is_true() return false end
function JsonNumber:count() return 1 end

local JsonString = {}
JsonString.__index = JsonString
function JsonString:is_true() return false end
function JsonString:count() return 1 end

local JsonArray = {}
JsonArray.__index = JsonArray
function JsonArray.new() return setmetatable({ values = {}, size = 0 }, JsonArray) end
function JsonArray:is_true() return false end

function JsonArray:add(value)
  self.size = self.size + 1
  self.values[self.size] = value
end

function JsonArray:at(index) return self.values[index] end

function JsonArray:count()
  local sum = 1
  for _, value in ipairs(self.values) do sum = sum + value:count() end
  return sum
end

-- Finds most names of an object at once: the place of the last name that has the hash.
local NameTable = {}
NameTable.__index = NameTable

function NameTable.new()
  local places = {}
  for i = 1, 32 do places[i] = 0 end
  return setmetatable({ places = places }, NameTable)
end

local function slot_of(name) return #name * 1402589 % 32 + 1 end

function NameTable:put(name, place) self.places[slot_of(name)] = place end
function NameTable:at(name) return self.places[slot_of(name)] end

local JsonObject = {}
JsonObject.__index = JsonObject

function JsonObject.new()
  return setmetatable({ names = {}, values = {}, size = 0, table = NameTable.new() }, JsonObject)
end

function JsonObject:is_true() return false end

function JsonObject:add(name, value)
  local size = self.size + 1
  self.size = size
  self.names[size] = name
  self.values[size] = value
  self.table:put(name, size)
end

-- The value of a name, or nil.
function JsonObject:at(name)
  local place = self.table:at(name)
  if place > 0 and name == self.names[place] then return self.values[place] end
  for index = self.size, 1, -1 do
    if name == self.names[index] then return self.values[index] end
  end
  return nil
end

function JsonObject:count()
  local sum = 1
  for _, value in ipairs(self.values) do sum = sum + value:count() end
  return sum
end

local JsonParser = {}
JsonParser.__index = JsonParser

function JsonParser.new(text)
  return setmetatable({ text = text, index = 0, line = 1, column = 0, current = nil, buffer = '', start = 0 }, JsonParser)
end

function JsonParser:parse()
  self:advance()
  self:skip_blanks()
  local value = self:read_value()
  self:skip_blanks()
  if self.current then self:expected('the end') end
  return value
end

function JsonParser:advance()
  if self.current == '\n' then self.line = self.line + 1; self.column = 0 end
  self.index = self.index + 1
  self.column = self.column + 1
  if self.index <= #self.text then self.current = sub(self.text, self.index, self.index) else self.current = nil end
end

function JsonParser:expected(what)
  error(what .. ' is expected at ' .. self.line .. ':' .. self.column)
end

function JsonParser:skip_blanks()
  while self:is_blank() do self:advance() end
end

function JsonParser:is_blank()
  local current = self.current
  return current == ' ' or current == '\n' or current == '\t' or current == '\r'
end

function JsonParser:is_digit()
  return self.current and self.current >= '0' and self.current <= '9'
end

-- Passes a character if it is the next. Answers whether it was.
function JsonParser:accept(character)
  if self.current ~= character then return false end
  self:advance()
  return true
end

function JsonParser:require(character)
  if not self:accept(character) then self:expected(character) end
end

function JsonParser:accept_digit()
  if not self:is_digit() then return false end
  self:advance()
  return true
end

function JsonParser:start_capture() self.start = self.index end

function JsonParser:pause_capture()
  self.buffer = self.buffer .. sub(self.text, self.start, self.index - 1)
  self.start = 0
end

function JsonParser:end_capture()
  local part = sub(self.text, self.start, self.index - 1)
  self.start = 0
  if self.buffer == '' then return part end
  part = self.buffer .. part
  self.buffer = ''
  return part
end

function JsonParser:read_value()
  local current = self.current
  if current == 'n' then return self:read_literal('null') end
  if current == 't' then return self:read_literal('true') end
  if current == 'f' then return self:read_literal('false') end
  if current == '"' then return setmetatable({ text = self:read_text() }, JsonString) end
  if current == '[' then return self:read_array() end
  if current == '{' then return self:read_object() end
  if current == '-' or self:is_digit() then return self:read_number() end
  return self:expected('a value')
end

function JsonParser:read_literal(text)
  for index = 1, #text do self:require(sub(text, index, index)) end
  return setmetatable({ text = text }, JsonLiteral)
end

function JsonParser:read_array()
  self:advance()
  local array = JsonArray.new()
  self:skip_blanks()
  if self:accept(']') then return array end
  repeat
    self:skip_blanks()
    array:add(self:read_value())
    self:skip_blanks()
  until not self:accept(',')
  self:require(']')
  return array
end

function JsonParser:read_object()
  self:advance()
  local object = JsonObject.new()
  self:skip_blanks()
  if self:accept('}') then return object end
  repeat
    self:skip_blanks()
    if self.current ~= '"' then self:expected('a name') end
    local name = self:read_text()
    self:skip_blanks()
    self:require(':')
    self:skip_blanks()
    object:add(name, self:read_value())
    self:skip_blanks()
  until not self:accept(',')
  self:require('}')
  return object
end

function JsonParser:read_text()
  self:advance()
  self:start_capture()
  while self.current ~= '"' do
    if self.current == '\\' then
      self:pause_capture()
      self:read_escape()
      self:start_capture()
    else
      if not self.current then self:expected('the end of the string') end
      self:advance()
    end
  end
  local part = self:end_capture()
  self:advance()
  return part
end

function JsonParser:read_escape()
  self:advance()
  local current = self.current
  if current == '"' or current == '/' or current == '\\' then
    self.buffer = self.buffer .. current
  elseif current == 'n' then
    self.buffer = self.buffer .. '\n'
  elseif current == 't' then
    self.buffer = self.buffer .. '\t'
  elseif current == 'r' then
    self.buffer = self.buffer .. '\r'
  else
    self:expected('an escape')
  end
  self:advance()
end

function JsonParser:read_number()
  self:start_capture()
  self:accept('-')
  local first = self.current
  if not self:accept_digit() then self:expected('a digit') end
  if first ~= '0' then
    while self:accept_digit() do end
  end
  if self:accept('.') then self:read_digits() end
  if self:accept('e') or self:accept('E') then
    if not self:accept('+') then self:accept('-') end
    self:read_digits()
  end
  return setmetatable({ text = self:end_capture() }, JsonNumber)
end

function JsonParser:read_digits()
  if not self:accept_digit() then self:expected('a digit') end
  while self:accept_digit() do end
end

local seed = 74755
local function next_number()
  seed = (seed * 1309 + 13849) % 65536
  return seed
end

local function plant_text()
  local parts = {}
  local function put(...)
    for _, part in ipairs({ ... }) do parts[#parts + 1] = part end
  end
  put('{"plant": "plant-1", "machines": [\n')
  for machine = 1, 100 do
    if machine > 1 then put(',\n') end
    put('  {"path": "plant-1\\/line-', machine % 7, '\\/pump-', machine)
    put('", "on": ', next_number() % 3 == 0 and 'false' or 'true')
    put(', "fault": null, "note": "runs \\"hot\\"\\tsince ', next_number() % 24)
    put(' h",\n   "limits": {"low": 0.5, "high": ', next_number() % 90 + 10, '.25}, "readings": [')
    for reading = 1, 8 do
      if reading > 1 then put(', ') end
      if next_number() % 2 == 0 then put('-') end
      put(next_number() % 1000, '.', next_number() % 100)
      if reading == 5 then put('e-2') end
    end
    put(']}')
  end
  put('\n]}\n')
  return table.concat(parts)
end

local text = plant_text()
local plant
for _ = 1, tonumber((...)) do
  plant = JsonParser.new(text):parse()
  local machines = plant:at('machines')
  assert(machines.size == 100)
  local last = machines:at(100)
  assert(last:at('path').text == 'plant-1/line-2/pump-100')
  assert(not last:at('on'):is_true())
  assert(plant:count() == 1703)
end
print(string.format('%d', #text * 100000 + plant:count()))
