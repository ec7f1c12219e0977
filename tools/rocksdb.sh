#!/usr/bin/env bash
# Builds RocksDB once per machine, and prints the folder that holds librocksdb.a.
#
# Cargo would compile its 340 sources anew for each target folder and profile. Here the sources of the
# crate that Cargo.lock pins are compiled about twelve to a file, with the crate's own flags, into
# the cache; ROCKSDB_LIB_DIR then points the crate at the result. A group whose sources do not go
# together is compiled one by one.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
lz4=$(sed -n '/^name = "lz4-sys"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
recipe=3 # raise it when the flags below change
out="${XDG_CACHE_HOME:-$HOME/.cache}/twintalk/rocksdb-$version-$recipe"
if [ -f "$out/librocksdb.a" ]; then echo "$out"; exit 0; fi

mkdir -p "$(dirname "$out")"
exec 9>"$out.lock"
flock 9 # a second caller waits here, then finds it done
if [ -f "$out/librocksdb.a" ]; then echo "$out"; exit 0; fi

echo "Building RocksDB $version, once for this machine (about 6 minutes on 2 cores)" >&2
cargo fetch --locked >&2
registry="${CARGO_HOME:-$HOME/.cargo}/registry/src"
source=$(find "$registry" -maxdepth 2 -type d -name "librocksdb-sys-$version" | head -n 1)
lz4_source=$(find "$registry" -maxdepth 2 -type d -name "lz4-sys-$lz4" | head -n 1)
[ -n "$source" ] && [ -n "$lz4_source" ] || { echo "cargo fetch did not bring librocksdb-sys $version" >&2; exit 1; }

work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
flags=(-O3 -fPIC -std=c++20 -w -include cstdint -ffunction-sections -fdata-sections
  -I"$source/rocksdb/include" -I"$source/rocksdb" -I"$source" -I"$lz4_source/liblz4/lib"
  -DLZ4=1 -DNDEBUG=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX
  -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT
  -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT)
# Hardware CRC32C: every x86-64 machine since 2010 has it.
[ "$(uname -m)" = x86_64 ] && flags+=(-msse4.2 -mpclmul)
printf '%s\n' "${flags[@]}" > "$work/flags"

# One unity file for every twelve sources of one folder: they share headers and namespaces best.
grep -v '^util/build_version.cc$' "$source/rocksdb_lib_sources.txt" | grep '\.cc$' | awk -v root="$source/rocksdb/" -v work="$work/" '
  {
    folder = $0; sub("/[^/]*$", "", folder); gsub("/", "_", folder)
    nth = count[folder]++; group = int(nth / 12)
    file = work "unity_" folder "_" group ".cc"
    print "#include \"" root $0 "\"" >> file
  }'
cp "$source/build_version.cc" "$work/unity_build_version.cc"

compile() {
  local unity=$1 work=$2 object=${1%.cc}.o
  if ! g++ "@$work/flags" -c "$unity" -o "$object" 2> "$object.log"; then
    local line number=0
    while IFS= read -r line; do
      printf '%s\n' "$line" > "${unity%.cc}_part$number.cpp"
      g++ "@$work/flags" -c "${unity%.cc}_part$number.cpp" -o "${unity%.cc}_part$number.o"
      number=$((number + 1))
    done < "$unity"
  fi
}
export -f compile
# Largest first, so that the cores finish together.
ls -S "$work"/unity_*.cc | xargs -P "$(nproc)" -I{} bash -c 'compile "$1" "$2"' _ {} "$work"
mkdir "$work/lib"
ar crs "$work/lib/librocksdb.a" "$work"/unity_*.o
mv "$work/lib" "$out"
echo "$out"
