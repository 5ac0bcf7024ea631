#!/usr/bin/env bash
# Builds libcallsheet.so, with its soname beside it, and libcallsheet.a into target/release. The archive's only global
# symbols are callsheet_*, so that it lives beside another SQLite in one program. Arguments go to cargo build, such as
# --no-default-features for a library without `local:`.
set -euo pipefail
cd "$(dirname "$0")/.."
release=${CARGO_TARGET_DIR:-target}/release

cargo build --quiet --release --locked -p callsheet-c "$@"
ln -sf libcallsheet.so "$release/libcallsheet.so.0"

# cargo puts back its own archive whenever it builds; the one made of it is kept beside, and made anew only then.
archive=$release/libcallsheet.a
raw=$release/deps/libcallsheet.a
made=$release/libcallsheet.only.a
if [ ! -e "$made" ] || [ "$raw" -nt "$made" ] || [ bindings-c/build.sh -nt "$made" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    # One object, so that what the parts need of each other may become local. Groups of sections go, because the linker
    # would match those of another Rust library by their names.
    ld -r --whole-archive --force-group-allocation "$raw" -o "$scratch/callsheet.o"
    objcopy --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd --wildcard --keep-global-symbol='callsheet_*' "$scratch/callsheet.o"
    ar rcsD "$scratch/made.a" "$scratch/callsheet.o"
    cp "$scratch/made.a" "$made"
fi
if ! cmp -s "$made" "$archive"; then
    cp "$made" "$archive.new"
    mv "$archive.new" "$archive"
fi
