#!/bin/sh
. "$(dirname "$0")/../common.sh"
open_network
# Amazon Linux's /bin/sh is bash: scripts that say `set -o pipefail` under #!/bin/sh count on it.
ln -sf bash "$root/bin/sh"
install -m 755 "$recipe/yum" "$root/usr/bin/yum"
ln -sf yum "$root/usr/bin/dnf"
ln -sf yum "$root/usr/bin/microdnf"
close_network
