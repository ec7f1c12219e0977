-- DeltaBlue: constraints between variables, solved step by step as they come and go. Tables of many kinds behind the same
-- methods, lists and functions. The argument is the length of a chain of equalities, and the number of scaled pairs.
local Strength = {}
Strength.__index = Strength
local strengths = {}
for name, value in pairs({
  absolute_strongest = -10000, required = -800, strong_preferred = -600, preferred = -400, strong_default = -200,
  default = 0, weak_default = 500, absolute_weakest = 10000,
}) do
  strengths[name] = setmetatable({ name = name, value = value }, Strength)
end

function Strength:is_same(other) return self.value == other.value end
function Strength:is_stronger(other) return self.value < other.value end
function Strength:is_weaker(other) return self.value > other.value end
function Strength:weakest(other) if other:is_weaker(self) then return other else return self end end

-- Elements that are added at the end and taken from the start.
local Queue = {}
Queue.__index = Queue
function Queue.new(...) return setmetatable({ first = 1, last = select('#', ...), ... }, Queue) end
function Queue:is_empty() return self.first > self.last end

function Queue:add(element)
  local last = self.last + 1
  self.last = last
  self[last] = element
end

function Queue:remove_first()
  local first = self.first
  local element = self[first]
  self[first] = nil
  self.first = first + 1
  return element
end

local Variable = {}
Variable.__index = Variable

function Variable.new(value)
  return setmetatable({
    value = value, constraints = {}, determined_by = nil, walk_strength = strengths.absolute_weakest, stay = true, mark = 0,
  }, Variable)
end

function Variable:add_constraint(constraint)
  self.constraints[#self.constraints + 1] = constraint
end

function Variable:remove_constraint(constraint)
  local constraints = self.constraints
  for index = 1, #constraints do
    if constraints[index] == constraint then
      table.remove(constraints, index)
      break
    end
  end
  if self.determined_by == constraint then self.determined_by = nil end
end

-- A kind of constraint: its methods, else those of its parent.
local function kind_of(parent)
  local kind = {}
  for name, method in pairs(parent or {}) do kind[name] = method end
  kind.__index = kind
  return kind
end

local Constraint = kind_of(nil)

function Constraint:is_input() return false end

function Constraint:add_to(planner)
  self:add_to_graph()
  planner:incremental_add(self)
end

function Constraint:destroy_in(planner)
  if self:is_satisfied() then planner:incremental_remove(self) end
  self:remove_from_graph()
end

function Constraint:inputs_known(mark)
  return not self:any_input(function(variable)
    return not (variable.mark == mark or variable.stay or variable.determined_by == nil)
  end)
end

-- Chooses how to be satisfied, if that is possible. Answers the constraint that gives way, or nil.
function Constraint:satisfy(mark, planner)
  self:choose_method(mark)
  if not self:is_satisfied() then
    if self.strength:is_same(strengths.required) then error('a required constraint cannot be satisfied') end
    return nil
  end
  self:inputs_do(function(variable) variable.mark = mark end)
  local output = self:output()
  local overridden = output.determined_by
  if overridden then overridden:mark_unsatisfied() end
  output.determined_by = self
  if not planner:add_propagate(self, mark) then error('a cycle of constraints') end
  output.mark = mark
  return overridden
end

local UnaryConstraint = kind_of(Constraint)

function UnaryConstraint.start(kind, variable, strength, planner)
  local constraint = setmetatable({ strength = strengths[strength], variable = variable, satisfied = false }, kind)
  constraint:add_to(planner)
  return constraint
end

function UnaryConstraint:is_satisfied() return self.satisfied end

function UnaryConstraint:add_to_graph()
  self.variable:add_constraint(self)
  self.satisfied = false
end

function UnaryConstraint:remove_from_graph()
  self.variable:remove_constraint(self)
  self.satisfied = false
end

function UnaryConstraint:choose_method(mark)
  self.satisfied = self.variable.mark ~= mark and self.strength:is_stronger(self.variable.walk_strength)
end

function UnaryConstraint:inputs_do(_) end
function UnaryConstraint:any_input(_) return false end
function UnaryConstraint:mark_unsatisfied() self.satisfied = false end
function UnaryConstraint:output() return self.variable end
function UnaryConstraint:execute() end

function UnaryConstraint:recalculate()
  local output = self.variable
  output.walk_strength = self.strength
  output.stay = not self:is_input()
  if output.stay then self:execute() end
end

local StayConstraint = kind_of(UnaryConstraint)

local EditConstraint = kind_of(UnaryConstraint)
function EditConstraint:is_input() return true end

local BinaryConstraint = kind_of(Constraint)

function BinaryConstraint:is_satisfied() return self.direction ~= nil end

function BinaryConstraint:add_to_graph()
  self.first:add_constraint(self)
  self.second:add_constraint(self)
  self.direction = nil
end

function BinaryConstraint:remove_from_graph()
  self.first:remove_constraint(self)
  self.second:remove_constraint(self)
  self.direction = nil
end

function BinaryConstraint:choose_method(mark)
  local first, second, strength = self.first, self.second, self.strength
  if first.mark == mark then
    self.direction = second.mark ~= mark and strength:is_stronger(second.walk_strength) and 'forward' or nil
  elseif second.mark == mark then
    self.direction = first.mark ~= mark and strength:is_stronger(first.walk_strength) and 'backward' or nil
  elseif first.walk_strength:is_weaker(second.walk_strength) then
    self.direction = strength:is_stronger(first.walk_strength) and 'backward' or nil
  else
    self.direction = strength:is_stronger(second.walk_strength) and 'forward' or nil
  end
end

function BinaryConstraint:inputs_do(action) action(self:input()) end
function BinaryConstraint:any_input(test) return test(self:input()) end
function BinaryConstraint:mark_unsatisfied() self.direction = nil end
function BinaryConstraint:input() if self.direction == 'forward' then return self.first else return self.second end end
function BinaryConstraint:output() if self.direction == 'forward' then return self.second else return self.first end end

function BinaryConstraint:recalculate()
  local input, output = self:input(), self:output()
  output.walk_strength = self.strength:weakest(input.walk_strength)
  output.stay = input.stay
  if output.stay then self:execute() end
end

local EqualityConstraint = kind_of(BinaryConstraint)

function EqualityConstraint.new(first, second, strength, planner)
  local constraint = setmetatable({
    strength = strengths[strength], first = first, second = second, direction = nil,
  }, EqualityConstraint)
  constraint:add_to(planner)
  return constraint
end

function EqualityConstraint:execute()
  if self.direction == 'forward' then
    self.second.value = self.first.value
  else
    self.first.value = self.second.value
  end
end

local ScaleConstraint = kind_of(BinaryConstraint)

function ScaleConstraint.new(first, second, scale, offset, strength, planner)
  local constraint = setmetatable({
    strength = strengths[strength], first = first, second = second, direction = nil, scale = scale, offset = offset,
  }, ScaleConstraint)
  constraint:add_to(planner)
  return constraint
end

function ScaleConstraint:add_to_graph()
  BinaryConstraint.add_to_graph(self)
  self.scale:add_constraint(self)
  self.offset:add_constraint(self)
end

function ScaleConstraint:remove_from_graph()
  BinaryConstraint.remove_from_graph(self)
  self.scale:remove_constraint(self)
  self.offset:remove_constraint(self)
end

function ScaleConstraint:execute()
  if self.direction == 'forward' then
    self.second.value = self.first.value * self.scale.value + self.offset.value
  else
    self.first.value = (self.second.value - self.offset.value) / self.scale.value
  end
end

function ScaleConstraint:inputs_do(action)
  BinaryConstraint.inputs_do(self, action)
  action(self.scale)
  action(self.offset)
end

function ScaleConstraint:recalculate()
  local input, output = self:input(), self:output()
  output.walk_strength = self.strength:weakest(input.walk_strength)
  output.stay = input.stay and self.scale.stay and self.offset.stay
  if output.stay then self:execute() end
end

local Planner = {}
Planner.__index = Planner
function Planner.new() return setmetatable({ mark = 1 }, Planner) end

function Planner:new_mark()
  self.mark = self.mark + 1
  return self.mark
end

function Planner:incremental_add(constraint)
  local mark = self:new_mark()
  local overridden = constraint:satisfy(mark, self)
  while overridden do overridden = overridden:satisfy(mark, self) end
end

function Planner:incremental_remove(constraint)
  local output = constraint:output()
  constraint:mark_unsatisfied()
  constraint:remove_from_graph()
  for _, each in ipairs(self:remove_propagate_from(output)) do self:incremental_add(each) end
end

function Planner:plan_from(constraints)
  local sources = Queue.new()
  for _, each in ipairs(constraints) do
    if each:is_input() and each:is_satisfied() then sources:add(each) end
  end
  return self:make_plan(sources)
end

-- The constraints to be executed, in order, after a change of the sources.
function Planner:make_plan(sources)
  local mark = self:new_mark()
  local plan = {}
  local todo = sources
  while not todo:is_empty() do
    local constraint = todo:remove_first()
    local output = constraint:output()
    if output.mark ~= mark and constraint:inputs_known(mark) then
      plan[#plan + 1] = constraint
      output.mark = mark
      self:add_consumers(output, todo)
    end
  end
  return plan
end

function Planner:add_consumers(variable, queue)
  local determining = variable.determined_by
  for _, each in ipairs(variable.constraints) do
    if each ~= determining and each:is_satisfied() then queue:add(each) end
  end
end

-- Recalculates all that follows from a constraint. Answers whether there is no cycle.
function Planner:add_propagate(constraint, mark)
  local todo = Queue.new(constraint)
  while not todo:is_empty() do
    local next = todo:remove_first()
    if next:output().mark == mark then
      self:incremental_remove(constraint)
      return false
    end
    next:recalculate()
    self:add_consumers(next:output(), todo)
  end
  return true
end

-- Takes back what followed from a variable. Answers the constraints that could be satisfied now, the strongest first.
function Planner:remove_propagate_from(output)
  local unsatisfied = {}
  output.determined_by = nil
  output.walk_strength = strengths.absolute_weakest
  output.stay = true
  local todo = Queue.new(output)
  while not todo:is_empty() do
    local variable = todo:remove_first()
    for _, each in ipairs(variable.constraints) do
      if not each:is_satisfied() then unsatisfied[#unsatisfied + 1] = each end
    end
    local determining = variable.determined_by
    for _, each in ipairs(variable.constraints) do
      if each ~= determining and each:is_satisfied() then
        each:recalculate()
        todo:add(each:output())
      end
    end
  end
  table.sort(unsatisfied, function(one, other) return one.strength:is_stronger(other.strength) end)
  return unsatisfied
end

function Planner:change(variable, value)
  local edit = EditConstraint:start(variable, 'preferred', self)
  local plan = self:plan_from({ edit })
  for _ = 1, 10 do
    variable.value = value
    for _, each in ipairs(plan) do each:execute() end
  end
  edit:destroy_in(self)
end

-- A chain of equalities: a change at its start comes out at its end.
local function chain(length)
  local planner = Planner.new()
  local variables = {}
  for index = 1, length + 1 do variables[index] = Variable.new(0) end
  for index = 1, length do EqualityConstraint.new(variables[index], variables[index + 1], 'required', planner) end
  local first, last = variables[1], variables[length + 1]
  StayConstraint:start(last, 'strong_default', planner)
  local edit = EditConstraint:start(first, 'preferred', planner)
  local plan = planner:plan_from({ edit })
  for value = 1, 100 do
    first.value = value
    for _, each in ipairs(plan) do each:execute() end
    assert(last.value == value)
  end
  edit:destroy_in(planner)
  return last.value
end

-- Pairs of variables, each the other scaled and moved: changes of either, of the scale and of the offset.
local function projection(count)
  local planner = Planner.new()
  local scale, offset = Variable.new(10), Variable.new(1000)
  local source, destination
  local destinations = {}
  for index = 1, count do
    source, destination = Variable.new(index), Variable.new(index)
    destinations[index] = destination
    StayConstraint:start(source, 'default', planner)
    ScaleConstraint.new(source, destination, scale, offset, 'required', planner)
  end
  planner:change(source, 17)
  assert(destination.value == 1170)
  planner:change(destination, 1050)
  assert(source.value == 5)
  planner:change(scale, 5)
  for index = 1, count - 1 do assert(destinations[index].value == index * 5 + 1000) end
  planner:change(offset, 2000)
  for index = 1, count - 1 do assert(destinations[index].value == index * 5 + 2000) end
  local sum = 0
  for _, each in ipairs(destinations) do sum = sum + each.value end
  return sum
end

local size = tonumber((...))
assert(chain(size) == 100)
local sum = projection(size)
assert(sum == size * (size - 1) / 2 * 5 + (size - 1) * 2000 + 2025)
print(string.format('%d', sum))
