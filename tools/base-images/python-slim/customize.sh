#!/bin/sh
. "$(dirname "$0")/../common.sh"
open_network
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
for name in python python3; do ln -s /usr/bin/python3 "$root/usr/local/bin/$name"; done
# Bytecode names its sources' times, which the archive of the root changes: Python would compile at every start.
inside python3 -m compileall -qf --invalidation-mode unchecked-hash /usr/lib/python3.11
close_network
