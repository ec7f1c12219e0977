#!/usr/bin/env bash
# Runs each fuzz target for so many seconds (60 unless given); stops at the first that finds something.
#
# With a nightly toolchain the targets run under AddressSanitizer; without, as they are.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
eval "$(tools/env.sh)"
[ -d fuzz/corpus ] || fuzz/seed.sh
export CARGO_TARGET_DIR="$CARGO_TARGET_DIR/fuzz"
command -v cargo-fuzz > /dev/null || cargo install cargo-fuzz --locked
if rustup toolchain list 2> /dev/null | grep -q '^nightly'; then
  fuzz=(cargo +nightly fuzz) sanitizer=address
else
  fuzz=(cargo fuzz) sanitizer=none
fi
# Linking allocates much: without these, half of the time of `image` goes into what the sanitizer keeps of what was freed.
export ASAN_OPTIONS="${ASAN_OPTIONS:-malloc_context_size=1:quarantine_size_mb=16}"
for target in $("${fuzz[@]}" list); do
  echo "fuzz: $target for $seconds s ($sanitizer)"
  "${fuzz[@]}" run --sanitizer "$sanitizer" "$target" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 \
    -print_final_stats=1
done
