#!/bin/sh
. "$(dirname "$0")/../common.sh"
open_network
mkdir -p "$root/tmp/build"
tar -C "$root/tmp/build" -xzf "$NODE_ARCHIVE"
install -m 755 "$root/tmp/build/package/bin/node" "$root/usr/local/bin/node"
close_network
