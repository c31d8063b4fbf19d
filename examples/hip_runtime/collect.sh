#!/usr/bin/env bash
# Copies HIP's runtime library, and all that it needs, out of the system into a prefix:
#   collect.sh FOLDER_OF_LIBRARIES OUT
set -euo pipefail
libraries=$1 out=$2

# Every Linux has these, and a process can hold one of each only: they stay the host's own.
hosts='^(ld-linux-x86-64|libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s)\.so'

mkdir -p "$out/lib"
runtime=$(find "$libraries" -maxdepth 1 -name 'libamdhip64.so.?')
[ "$(wc -l <<< "$runtime")" = 1 ] && [ -n "$runtime" ] || {
    echo "collect.sh: not one HIP runtime in $libraries, but: ${runtime:-none}" >&2
    exit 1
}
{
    echo "$runtime"
    ldd "$runtime" | awk '$2 == "=>" { print $3 }'
} | while read -r library; do
    name=$(basename "$library")
    [[ $name =~ $hosts ]] || cp --dereference "$library" "$out/lib/$name"
done
mkdir -p "$out/share/doc"
for package in "$out"/lib/*; do basename "$package"; done > "$out/share/doc/libraries.txt"
