#!/bin/sh
. "$(dirname "$0")/../common.sh"
open_network
lambda_layout
# Debian keeps pip from touching its own Python; in this image pip is the only owner.
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
inside env PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_ROOT_USER_ACTION=ignore \
	pip install --no-cache-dir --disable-pip-version-check --quiet "awslambdaric==$AWSLAMBDARIC"
# pip's bytecode names its sources' times, which the archive of the root changes: Python would compile at every start.
inside python3 -m compileall -qf --invalidation-mode unchecked-hash /usr/local/lib
ln -sf python3 "$root/usr/bin/python"
printf '#!/bin/sh\nexec python3 -m awslambdaric "$_HANDLER"\n' > "$root/var/runtime/bootstrap"
chmod 755 "$root/var/runtime/bootstrap"
close_network
