#!/usr/bin/env bash
# Fills fuzz/corpus with inputs to start from, made from the cases, the kernel and the log fixtures of this work tree.
set -euo pipefail
cd "$(dirname "$0")/.."

eval "$(tools/env.sh)"
export CARGO_TARGET_DIR="$CARGO_TARGET_DIR/fuzz"
cargo run --quiet --manifest-path fuzz/Cargo.toml --example seed
for folder in fuzz/corpus/*/; do
  printf 'fuzz: %s has %d inputs\n' "$(basename "$folder")" "$(find "$folder" -type f | wc -l)"
done
