-- Richards: the heart of an operating system, six tasks that send each other packets. Tables with state, linked queues, and
-- functions that are chosen at run time. A round runs until all tasks hold; it counts queued packets and holds.
local xor = bit and bit.bxor or load('return function(a, b) return a ~ b end')()
local half = bit and function(n) return bit.rshift(n, 1) end or load('return function(n) return n // 2 end')()

local IDLER, WORKER, HANDLER_A, HANDLER_B, DEVICE_A, DEVICE_B = 1, 2, 3, 4, 5, 6
local DEVICE_PACKET, WORK_PACKET = 0, 1

local function new_packet(link, identity, kind)
  return { link = link, identity = identity, kind = kind, datum = 0, data = { 0, 0, 0, 0 } }
end

-- `queue` with `packet` at its end.
local function append(packet, queue)
  packet.link = nil
  if not queue then return packet end
  local last = queue
  while last.link do last = last.link end
  last.link = packet
  return queue
end

local Task = {}
Task.__index = Task

local RUNNING = { packet_pending = false, task_waiting = false, task_holding = false }
local WAITING = { packet_pending = false, task_waiting = true, task_holding = false }
local WAITING_WITH_PACKET = { packet_pending = true, task_waiting = true, task_holding = false }

function Task.new(link, identity, priority, input, state, process, handle)
  return setmetatable({
    link = link, identity = identity, priority = priority, input = input,
    packet_pending = state.packet_pending, task_waiting = state.task_waiting, task_holding = state.task_holding,
    process = process, handle = handle,
  }, Task)
end

function Task:set_packet_pending()
  self.packet_pending, self.task_waiting, self.task_holding = true, false, false
end

function Task:set_running()
  self.packet_pending, self.task_waiting, self.task_holding = false, false, false
end

function Task:is_holding_or_waiting()
  return self.task_holding or (not self.packet_pending and self.task_waiting)
end

function Task:is_waiting_with_packet()
  return self.packet_pending and self.task_waiting and not self.task_holding
end

-- Takes a packet into the queue. Answers the task to go on with: this one if it stands above `old_task` and had nothing to do.
function Task:take(packet, old_task)
  if not self.input then
    self.input = packet
    self.packet_pending = true
    if self.priority > old_task.priority then return self end
  else
    self.input = append(packet, self.input)
  end
  return old_task
end

-- Does one step with the next packet, if the task waits for one. Answers the task to go on with.
function Task:run()
  local packet
  if self:is_waiting_with_packet() then
    packet = self.input
    self.input = packet.link
    if self.input then self:set_packet_pending() else self:set_running() end
  end
  return self.process(packet, self.handle)
end

local Scheduler = {}
Scheduler.__index = Scheduler

function Scheduler.new()
  return setmetatable({ tasks = nil, current_task = nil, current_identity = nil, table = {}, queued = 0, held = 0 }, Scheduler)
end

function Scheduler:run_all()
  self:add_idler(IDLER, 0, nil, RUNNING)
  local packets = new_packet(nil, WORKER, WORK_PACKET)
  packets = new_packet(packets, WORKER, WORK_PACKET)
  self:add_worker(WORKER, 1000, packets, WAITING_WITH_PACKET)
  self:add_handler(HANDLER_A, 2000, self:three_packets(DEVICE_A), WAITING_WITH_PACKET)
  self:add_handler(HANDLER_B, 3000, self:three_packets(DEVICE_B), WAITING_WITH_PACKET)
  self:add_device(DEVICE_A, 4000, nil, WAITING)
  self:add_device(DEVICE_B, 5000, nil, WAITING)
  self:schedule()
end

function Scheduler:three_packets(identity)
  local packets
  for _ = 1, 3 do packets = new_packet(packets, identity, DEVICE_PACKET) end
  return packets
end

function Scheduler:add_task(identity, priority, input, state, process, handle)
  local task = Task.new(self.tasks, identity, priority, input, state, process, handle)
  self.tasks = task
  self.table[identity] = task
end

function Scheduler:add_idler(identity, priority, input, state)
  self:add_task(identity, priority, input, state, function(_, data)
    data.count = data.count - 1
    if data.count == 0 then
      return self:hold_self()
    elseif data.control % 2 == 0 then
      data.control = half(data.control)
      return self:release(DEVICE_A)
    else
      data.control = xor(half(data.control), 53256)
      return self:release(DEVICE_B)
    end
  end, { control = 1, count = 10000 })
end

function Scheduler:add_worker(identity, priority, input, state)
  self:add_task(identity, priority, input, state, function(packet, data)
    if not packet then return self:wait_self() end
    data.destination = data.destination == HANDLER_A and HANDLER_B or HANDLER_A
    packet.identity = data.destination
    packet.datum = 0
    for index = 1, 4 do
      data.count = data.count + 1
      if data.count > 26 then data.count = 1 end
      packet.data[index] = 65 + data.count - 1
    end
    return self:queue(packet)
  end, { destination = HANDLER_A, count = 0 })
end

function Scheduler:add_handler(identity, priority, input, state)
  self:add_task(identity, priority, input, state, function(packet, data)
    if packet then
      if packet.kind == WORK_PACKET then
        data.work_in = append(packet, data.work_in)
      else
        data.device_in = append(packet, data.device_in)
      end
    end
    local work = data.work_in
    if not work then return self:wait_self() end
    local count = work.datum
    if count >= 4 then
      data.work_in = work.link
      return self:queue(work)
    end
    local device = data.device_in
    if not device then return self:wait_self() end
    data.device_in = device.link
    device.datum = work.data[count + 1]
    work.datum = count + 1
    return self:queue(device)
  end, { work_in = nil, device_in = nil })
end

function Scheduler:add_device(identity, priority, input, state)
  self:add_task(identity, priority, input, state, function(packet, data)
    if packet then
      data.pending = packet
      return self:hold_self()
    end
    local pending = data.pending
    if not pending then return self:wait_self() end
    data.pending = nil
    return self:queue(pending)
  end, { pending = nil })
end

function Scheduler:schedule()
  self.current_task = self.tasks
  while self.current_task do
    local task = self.current_task
    if task:is_holding_or_waiting() then
      self.current_task = task.link
    else
      self.current_identity = task.identity
      self.current_task = task:run()
    end
  end
end

function Scheduler:find(identity)
  local task = self.table[identity]
  if not task then error('there is no such task') end
  return task
end

function Scheduler:hold_self()
  self.held = self.held + 1
  self.current_task.task_holding = true
  return self.current_task.link
end

function Scheduler:wait_self()
  self.current_task.task_waiting = true
  return self.current_task
end

function Scheduler:release(identity)
  local task = self:find(identity)
  task.task_holding = false
  if task.priority > self.current_task.priority then return task else return self.current_task end
end

function Scheduler:queue(packet)
  local task = self:find(packet.identity)
  self.queued = self.queued + 1
  packet.link = nil
  packet.identity = self.current_identity
  return task:take(packet, self.current_task)
end

local scheduler
for _ = 1, tonumber((...)) do
  scheduler = Scheduler.new()
  scheduler:run_all()
  assert(scheduler.queued == 23246)
  assert(scheduler.held == 9297)
end
print(string.format('%d', scheduler.queued * 100000 + scheduler.held))
