#!/usr/bin/env bash
# Two plants that are only simulated, or a machine that was real, watched by twins that are killed on the way.
#
#   examples/plant/demo.sh [READINGS.csv]
#
# READINGS has the columns timestamp and value. When a windows.json of the Numenta Anomaly Benchmark lies beside it, its
# windows for the file are the known failures. TWINTALK is the program to run; `make demo` sets it.
set -euo pipefail

data=${1:-}
twintalk=${TWINTALK:-twintalk}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
store=$work/store
# What runs beside this script and is ended with it.
helpers=()

clean_up() {
  for helper in "${helpers[@]}"; do kill "$helper" 2> /dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT

headline() { printf '\n== %s\n' "$1"; }
# What looks at a store says on standard error up to where it sees. Here nobody writes beside it, so that is told only
# with what went wrong.
look() { "$twintalk" "$@" --store "$store" 2> "$work/looked" || { cat "$work/looked" >&2; return 1; }; }

# ---- What is fed ----

if [ -n "$data" ]; then
  headline "A real machine: $(basename "$data")"
  telemetry=$data
  roots=(machine-1)
  feed=(--to machine-1 --send reads: --args value --time timestamp --as Sensor)
  # One triple for each failure: what, from, to.
  known=()
  windows=$(dirname "$data")/windows.json
  if [ -f "$windows" ]; then
    mapfile -t moments < <(tr -d '\n' < "$windows" | sed -n "s/.*$(basename "$data")\": *\[//; s/\] *\].*//p" \
      | grep -o '"[^"]*"' | tr -d '"')
    for ((i = 0; i + 1 < ${#moments[@]}; i += 2)); do
      known+=("failure $((i / 2 + 1))" "${moments[i]}" "${moments[i + 1]}")
    done
  fi
else
  headline "Two plants, simulated by simulator.twin"
  telemetry=$work/telemetry.csv
  roots=(plant-1 plant-2)
  feed=(--to '{plant}' --send sensor:reads: --args sensor,value --time time --as Plant)
  "$twintalk" run "$here/simulator.twin" > "$telemetry"
  mapfile -t known < <("$twintalk" run "$here/simulator.twin" -- faults | tr '\t' '\n')
fi
# The name is the sender's: a row that it sent before is not taken again, whichever way it comes.
feed=("$here/plant.twin" --store "$store" "${feed[@]}" --clock device --source telemetry --acks)
rows=$(awk 'END { print NR - 1 }' "$telemetry")
first=$(sed -n 2p "$telemetry" | cut -d, -f1)
last=$(tail -n 1 "$telemetry" | cut -d, -f1)
echo "$rows readings, from $first to $last"

# ---- Fed, killed, fed again ----

# Prints how many readings the roots have counted.
kept() {
  local sum=0 root count
  for root in "${roots[@]}"; do
    count=$(look state "$root" --json | sed -n 's/.*"readings":\([0-9]*\).*/\1/p')
    sum=$((sum + count))
  done
  echo "$sum"
}

headline "twintalk feed, killed in the middle"
# The first three quarters of the rows come through a pipe that never ends, so that the feed cannot have ended either.
mkfifo "$work/pipe"
exec {pipe}<> "$work/pipe"
head -n $((1 + rows * 3 / 4)) "$telemetry" > "$work/pipe" &
helpers+=($!)
exec {acks}< <(exec "$twintalk" feed - "${feed[@]}" < "$work/pipe")
feeder=$!
helpers+=("$feeder")
acked=0
killed=no
# On after the kill, to what it had still acknowledged.
while read -r -u "$acks" _ row; do
  acked=$row
  if [ "$killed" = no ] && [ "$row" -ge $((rows / 2)) ]; then
    kill -KILL "$feeder"
    killed=yes
  fi
done
exec {acks}<&- {pipe}>&-
helpers=()
[ "$killed" = yes ] || { echo "the feed ended of itself"; exit 1; }
kept=$(kept)
echo "acknowledged before SIGKILL: $acked rows"
echo "kept in the store:           $kept rows"
[ "$kept" -ge "$acked" ] || { echo "ROWS ARE MISSING"; exit 1; }
echo "no acknowledged row is missing"

headline "The same feed again: it goes on where it stopped"
"$twintalk" feed "$telemetry" "${feed[@]}" > "$work/acks"
tail -n 1 "$work/acks"
kept=$(kept)
echo "counted by the twins: $kept of $rows readings"
[ "$kept" -eq "$rows" ] || { echo "ROWS ARE MISSING OR COUNTED TWICE"; exit 1; }

# ---- What came of it ----

headline "twintalk twins"
look twins
headline "twintalk history watch, its first lines"
look history watch | sed -n 1,24p
if [ -z "$data" ]; then
  headline "twintalk state plant-1/pump-1"
  look state plant-1/pump-1
  headline "twintalk history plant-1/pump-1, around its alarm"
  look history plant-1/pump-1 --from 2026-03-17T10:59:00Z --to 2026-03-17T11:01:00Z
  headline "twintalk why plant-1/pump-1 orders: what set it, what sent that, and so on"
  look why plant-1/pump-1 'orders[1]'
fi
headline "twintalk run report.twin"
"$twintalk" run "$here/report.twin" --store "$store" -- "$first" "$last" "${known[@]}"
headline "twintalk verify"
look verify
