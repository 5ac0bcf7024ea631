#!/usr/bin/env bash
# Builds the servers of the tests from their Go modules into the cache, once per version: `build.sh`.
# `build.sh --path` builds nothing and prints the folder that holds them.
set -euo pipefail
export LC_ALL=C # or the order of files, and so the digest, were the user's
cd "$(dirname "${BASH_SOURCE[0]}")"

# Keyed by what is built and how, so that checkouts share a folder and a new version gets one of its own.
digest=$({ uname -sm; cat build.sh modules/*/go.mod modules/*/go.sum; } | sha256sum | cut -c 1-12)
cache=${CALLSHEET_CACHE:-$HOME/.cache/callsheet}
mkdir -p "$cache"
folder=$(cd "$cache" && pwd)/servers/$digest

if [ "${1:-}" = --path ]; then
    echo "$folder"
    exit
fi

# build MODULE PACKAGE BINARY [VALUE]: one static binary, renamed into place whole, so that two builds never meet.
build() {
    local binary=$folder/$3
    test -x "$binary" && return
    command -v go >/dev/null || { echo "the servers of the tests are built with Go 1.26 or newer" >&2; exit 1; }
    echo "building $3 for the tests (once) ..."
    mkdir -p "$(dirname "$binary")"
    partial=$(mktemp "$binary.XXXXXX")
    trap 'rm -f "$partial" "$partial.log"' EXIT
    CGO_ENABLED=0 GOWORK=off go build -C "modules/$1" -trimpath -ldflags "-s -w ${4:+-X $4}" -o "$partial" "$2" \
        2>"$partial.log" || { cat "$partial.log" >&2; exit 1; }
    rm "$partial.log"
    chmod 755 "$partial"
    mv "$partial" "$binary"
}

build etcd go.etcd.io/etcd/server/v3 etcd
build etcd go.etcd.io/etcd/etcdctl/v3 etcdctl
# 3.4, the oldest that we support. Built in 20 s like the others: PyPI's wheel is 3.5, and Debian's package is Debian's.
build etcd-old go.etcd.io/etcd old/etcd
build toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server toxiproxy-server github.com/Shopify/toxiproxy/v2.Version=2.12.0
build consul github.com/hashicorp/consul consul
build consul-old github.com/hashicorp/consul old/consul
