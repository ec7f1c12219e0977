#!/usr/bin/env bash
# Prints the settings that every cargo command of this project runs with. In a shell of your own:
#
#   eval "$(tools/env.sh)"
#
# The target folder lies in the cache, outside the clone, and is named after the path of this work
# tree: Cargo decides by times, not by contents, so two work trees that share a target folder can
# run each other's binaries. CARGO_TARGET_DIR is kept where it is set.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/twintalk"
hash=$(printf '%s' "$PWD" | sha256sum)
target=${CARGO_TARGET_DIR:-$cache/target-$(basename "$PWD")-${hash:0:8}}
rocksdb=$(tools/rocksdb.sh)

printf 'export CARGO_TARGET_DIR=%q\n' "$target"
printf 'export ROCKSDB_LIB_DIR=%q\n' "$rocksdb"
printf 'export ROCKSDB_STATIC=1\n'
