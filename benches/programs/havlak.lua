-- Havlak's search for loops, also irreducible ones, in a graph of 5,213 blocks: many small tables, sets and lists, deep
-- recursion. The argument is how often the loops of the graph are sought.
local max = math.max

-- Elements, each once, in the order in which they first came.
local Set = {}
Set.__index = Set
function Set.new() return setmetatable({ has = {}, size = 0 }, Set) end

function Set:add(element)
  if not self.has[element] then
    self.has[element] = true
    self.size = self.size + 1
    self[self.size] = element
  end
end

local FlowGraph = {}
FlowGraph.__index = FlowGraph
function FlowGraph.new() return setmetatable({ blocks = {}, size = 0 }, FlowGraph) end

-- The block of a name; names count from 1 and come in order.
function FlowGraph:block(name)
  local block = self.blocks[name]
  if not block then
    block = { name = name, sources = {}, targets = {} }
    self.size = self.size + 1
    self.blocks[self.size] = block
  end
  return block
end

function FlowGraph:connect(from_name, to_name)
  local from, to = self:block(from_name), self:block(to_name)
  from.targets[#from.targets + 1] = to
  to.sources[#to.sources + 1] = from
end

local SimpleLoop = {}
SimpleLoop.__index = SimpleLoop

function SimpleLoop.new(header, is_reducible, counter)
  local loop = setmetatable({
    header = header, is_reducible = is_reducible, parent = nil, is_root = false, nesting = 0, depth = 0,
    counter = counter, blocks = Set.new(), children = Set.new(),
  }, SimpleLoop)
  if header then loop.blocks:add(header) end
  return loop
end

function SimpleLoop:set_parent(parent)
  self.parent = parent
  parent.children:add(self)
end

function SimpleLoop:set_nesting(level)
  self.nesting = level
  if level == 0 then self.is_root = true end
end

local LoopGraph = {}
LoopGraph.__index = LoopGraph

function LoopGraph.new()
  local graph = setmetatable({ loops = {}, size = 0 }, LoopGraph)
  graph.root = graph:new_loop(nil, true)
  graph.root:set_nesting(0)
  return graph
end

function LoopGraph:new_loop(header, is_reducible)
  local loop = SimpleLoop.new(header, is_reducible, self.size)
  self.size = self.size + 1
  self.loops[self.size] = loop
  return loop
end

function LoopGraph:calculate_nesting()
  for _, each in ipairs(self.loops) do
    if not each.is_root and not each.parent then each:set_parent(self.root) end
  end
  self:nesting_of(self.root, 0)
end

function LoopGraph:nesting_of(loop, depth)
  loop.depth = depth
  for _, each in ipairs(loop.children) do
    self:nesting_of(each, depth + 1)
    loop:set_nesting(max(loop.nesting, each.nesting + 1))
  end
end

local UnionNode = {}
UnionNode.__index = UnionNode
function UnionNode.new() return setmetatable({ parent = nil, block = nil, loop = nil, number = 0 }, UnionNode) end

function UnionNode:start(block, number)
  self.parent = self
  self.block = block
  self.number = number
  self.loop = nil
end

-- The node that stands for the set of this one. On the way, nodes are hung below the first parent.
function UnionNode:find()
  local passed = {}
  local node = self
  while node ~= node.parent do
    if node.parent ~= node.parent.parent then passed[#passed + 1] = node end
    node = node.parent
  end
  for _, each in ipairs(passed) do each.parent = self.parent end
  return node
end

local UNVISITED = 2147483647

local LoopFinder = {}
LoopFinder.__index = LoopFinder
function LoopFinder.new(graph, loops) return setmetatable({ graph = graph, loops = loops }, LoopFinder) end

function LoopFinder:is_ancestor(w, v) return w <= v and v <= self.lasts[w] end

-- Numbers the blocks from this one on as a search in depth meets them. Answers the last number.
function LoopFinder:search(block, current)
  self.nodes[current]:start(block, current)
  self.numbers[block] = current
  local last = current
  for _, each in ipairs(block.targets) do
    if self.numbers[each] == UNVISITED then last = self:search(each, last + 1) end
  end
  self.lasts[current] = last
  return last
end

-- Sorts the edges into each block: those that come back from a descendant, and the others.
function LoopFinder:identify_edges()
  for w = 1, self.graph.size do
    self.headers[w] = 1
    local block = self.nodes[w].block
    self.types[w] = block and 'nonheader' or 'dead'
    if block then
      for _, source in ipairs(block.sources) do
        local v = self.numbers[source]
        if v ~= UNVISITED then
          if self:is_ancestor(w, v) then
            local backs = self.backs[w]
            backs[#backs + 1] = v
          else
            self.others[w]:add(v)
          end
        end
      end
    end
  end
end

function LoopFinder:find_loops()
  local size = self.graph.size
  self.numbers, self.backs, self.others, self.nodes = {}, {}, {}, {}
  self.headers, self.types, self.lasts = {}, {}, {}
  for index = 1, size do
    self.backs[index] = {}
    self.others[index] = Set.new()
    self.nodes[index] = UnionNode.new()
  end
  for _, each in ipairs(self.graph.blocks) do self.numbers[each] = UNVISITED end
  self:search(self.graph.blocks[1], 1)
  self:identify_edges()
  -- Inner loops first: the numbers backwards.
  for w = size, 1, -1 do self:find_loop(w) end
end

function LoopFinder:find_loop(w)
  local pool = {}
  if self.nodes[w].block then
    for _, v in ipairs(self.backs[w]) do
      if v == w then self.types[w] = 'self' else pool[#pool + 1] = self.nodes[v]:find() end
    end
    local work = { first = 1, last = #pool }
    for index, each in ipairs(pool) do work[index] = each end
    if #pool > 0 then self.types[w] = 'reducible' end
    while work.first <= work.last do
      local node = work[work.first]
      work[work.first] = nil
      work.first = work.first + 1
      self:follow(node, w, pool, work)
    end
  end
  if #pool > 0 or self.types[w] == 'self' then
    self:collapse(pool, w, self.loops:new_loop(self.nodes[w].block, self.types[w] ~= 'irreducible'))
  end
end

local function includes(list, element)
  for index = 1, #list do
    if list[index] == element then return true end
  end
  return false
end

-- Goes back from a node of the loop at `w`: what comes in from outside the loop makes it irreducible.
function LoopFinder:follow(node, w, pool, work)
  for _, each in ipairs(self.others[node.number]) do
    local found = self.nodes[each]:find()
    if self:is_ancestor(w, found.number) then
      if found.number ~= w and not includes(pool, found) then
        work.last = work.last + 1
        work[work.last] = found
        pool[#pool + 1] = found
      end
    else
      self.types[w] = 'irreducible'
      self.others[w]:add(found.number)
    end
  end
end

function LoopFinder:collapse(pool, w, loop)
  local node = self.nodes[w]
  node.loop = loop
  for _, each in ipairs(pool) do
    self.headers[each.number] = w
    each.parent = node
    if each.loop then each.loop:set_parent(loop) else loop.blocks:add(each.block) end
  end
end

local graph = FlowGraph.new()

-- Four blocks: a way that parts and meets. These answer the last block.
local function diamond(start)
  graph:connect(start, start + 1)
  graph:connect(start, start + 2)
  graph:connect(start + 1, start + 3)
  graph:connect(start + 2, start + 3)
  return start + 3
end

local function straight(start, count)
  for index = 1, count do graph:connect(start + index - 1, start + index) end
  return start + count
end

local function base_loop(start)
  local header = straight(start, 1)
  local first = diamond(header)
  local middle = straight(first, 1)
  local second = diamond(middle)
  local footer = straight(second, 1)
  graph:connect(second, middle)
  graph:connect(first, header)
  graph:connect(footer, start)
  return straight(footer, 1)
end

-- A small graph: one loop with its inner ones.
local function build_small()
  graph:block(1)
  base_loop(1)
  graph:block(2)
  graph:connect(1, 3)
end

-- Ten times ten times five loops in each other more.
local function build_large()
  local last = 3
  for _ = 1, 10 do
    graph:block(last + 1)
    graph:connect(3, last + 1)
    last = last + 1
    for _ = 1, 10 do
      local top = last
      last = straight(last, 1)
      for _ = 1, 5 do last = base_loop(last) end
      local bottom = straight(last, 1)
      graph:connect(last, top)
      last = bottom
    end
    graph:connect(last, 1)
  end
end

local function find_in(loops) LoopFinder.new(graph, loops):find_loops() end

local loops = LoopGraph.new()
build_small()
find_in(loops)
build_large()
find_in(loops)
for _ = 1, tonumber((...)) do find_in(LoopGraph.new()) end
loops:calculate_nesting()
assert(loops.size == 1605)
assert(graph.size == 5213)
print(string.format('%d', loops.size * 100000 + graph.size))
