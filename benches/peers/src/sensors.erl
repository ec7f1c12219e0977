%% Sensors as processes: three integers each. Time is that of the emulator's threads, in nanoseconds.
-module(sensors).
-export([tell/3, ask/3, random/3, idle/3]).

sensor(Level, Low, High) ->
    receive
        {level, New} -> sensor(New, min(Low, New), max(High, New));
        {read, From} -> From ! {level, Level}, sensor(Level, Low, High)
    end.

start() -> spawn(fun() -> sensor(0, 0, 0) end).

read(Sensor) ->
    Sensor ! {read, self()},
    receive {level, Level} -> Level end.

tell(Count, _, Rounds) ->
    Sensor = start(),
    report(Count, Rounds, fun() -> tell_all(Count, Sensor), read(Sensor) end).

tell_all(0, _) -> ok;
tell_all(Count, Sensor) -> Sensor ! {level, Count}, tell_all(Count - 1, Sensor).

ask(Count, _, Rounds) ->
    Sensor = start(),
    report(Count, Rounds, fun() -> ask_all(Count, Sensor) end).

ask_all(0, _) -> ok;
ask_all(Count, Sensor) -> read(Sensor), ask_all(Count - 1, Sensor).

random(Count, Entities, Rounds) ->
    Sensors = list_to_tuple([start() || _ <- lists:seq(1, Entities)]),
    report(Count, Rounds, fun() ->
        tell_random(Count, Sensors, Entities),
        [read(element(Nth, Sensors)) || Nth <- lists:seq(1, Entities, Entities div 100)]
    end).

tell_random(0, _, _) -> ok;
tell_random(Count, Sensors, Entities) ->
    element(Count * 2147483647 rem Entities + 1, Sensors) ! {level, Count},
    tell_random(Count - 1, Sensors, Entities).

idle(Count, _, _) ->
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    Sensors = [start() || _ <- lists:seq(1, Count)],
    [read(Sensor) || Sensor <- Sensors],
    erlang:garbage_collect(),
    io:format("~w", [(erlang:memory(total) - Before) / length(Sensors)]).

report(Count, Rounds, Work) ->
    Work(),
    Values = lists:sort([time(Work) / Count || _ <- lists:seq(1, Rounds)]),
    io:format("~w", [lists:nth((Rounds + 1) div 2, Values)]).

%% Microseconds of all threads, of which one runs processes.
time(Work) ->
    {Before, _} = statistics(runtime),
    Work(),
    {After, _} = statistics(runtime),
    (After - Before) * 1.0e6.
