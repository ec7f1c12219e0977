#!/usr/bin/env bash
# Makes a machine ready to build TwinTalk: a Rust toolchain must be there, the Debian packages that
# are missing are installed (as root) or named, and RocksDB is built once.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if ! command -v cargo > /dev/null; then
  echo "setup: there is no cargo here. Install Rust $wanted or later (https://rustup.rs), then run this again." >&2
  exit 1
fi
found=$(rustc --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
  echo "setup: TwinTalk wants Rust $wanted or later, and this is $found: rustup update" >&2
  exit 1
fi

# What the build calls, and Debian 12's package with it. bindgen needs libclang and the headers
# that clang brings (stddef.h and the like), and nothing else of clang; any version will do.
missing=()
command -v make > /dev/null || missing+=(make)
command -v cc > /dev/null || missing+=(gcc)
command -v g++ > /dev/null || missing+=(g++)
ldconfig -p 2> /dev/null | grep -q 'libclang[-.]' || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' > /dev/null \
  || missing+=(libclang1-14)
compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' > /dev/null \
  || compgen -G '/usr/lib/clang/*/include/stddef.h' > /dev/null || missing+=(libclang-common-14-dev)

if [ ${#missing[@]} -gt 0 ]; then
  install="apt-get install --yes --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "setup: installing ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update --quiet --quiet && $install --quiet --quiet; } >&2 < /dev/null
  else
    echo "setup: these Debian packages are missing: ${missing[*]}" >&2
    echo "setup: as root: apt-get update && $install" >&2
    exit 1
  fi
fi

if [ "${1:-}" = peers ]; then
  peers=()
  for peer in lua5.4 luajit valgrind; do command -v "$peer" > /dev/null || peers+=("$peer"); done
  if [ ${#peers[@]} -gt 0 ]; then
    install="apt-get install --yes --no-install-recommends ${peers[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if [ "$(id -u)" != 0 ] || ! { apt-get update --quiet --quiet && $install --quiet --quiet; } >&2 < /dev/null; then
      echo "setup: going on without ${peers[*]}; as root: apt-get update && $install" >&2
    fi
  fi
fi

tools/rocksdb.sh > /dev/null
