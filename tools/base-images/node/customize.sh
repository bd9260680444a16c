#!/bin/sh
. "$(dirname "$0")/../common.sh"
open_network
lambda_layout
mkdir -p "$root/var/lang/bin" "$root/tmp/build"
tar -C "$root/tmp/build" -xzf "$NODE_ARCHIVE" --one-top-level=node
install -m 755 "$root/tmp/build/node/package/bin/node" "$root/var/lang/bin/node"
tar -C "$root/tmp/build" -xzf "$RIC_ARCHIVE"
tar -C "$root/tmp/build" -xzf "$ADDON_ARCHIVE" --one-top-level=addon
# The client's native half is built by its own script (curl and aws-lambda-cpp) and by one compiler call in place of
# node-gyp, which would download the headers that the node package carries; then the compilers go again.
inside apt-get update -qq
inside apt-get install -qq -y --no-install-recommends g++ make cmake xz-utils >/dev/null
inside sh -eu -c '
	cd /tmp/build/package
	sh scripts/preinstall.sh > /tmp/build/log 2>&1 || { tail -30 /tmp/build/log >&2; exit 1; }
	g++ -shared -fPIC -O3 -std=c++20 -DBUILDING_NODE_EXTENSION -DNODE_GYP_MODULE_NAME=rapid-client -DNAPI_CPP_EXCEPTIONS \
		-I/tmp/build/node/package/include/node -I/tmp/build/addon/package -Ideps/artifacts/include src/native/rapid-client.cc \
		deps/artifacts/lib/libaws-lambda-runtime.a deps/artifacts/lib/libcurl.a -pthread -o rapid-client.node
'
target="$root/var/runtime/node_modules/aws-lambda-ric"
mkdir -p "$target" "$root/var/runtime/node_modules/@aws/lambda-invoke-store"
( cd "$root/tmp/build/package" && cp -a package.json index.mjs rapid-client.node LICENSE NOTICE THIRD-PARTY-LICENSES "$target/" )
tar -C "$root/var/runtime/node_modules/@aws/lambda-invoke-store" --strip-components=1 -xzf "$STORE_ARCHIVE"
inside apt-get purge -qq -y --auto-remove g++ make cmake xz-utils >/dev/null
printf '#!/bin/sh\nexec /var/lang/bin/node /var/runtime/node_modules/aws-lambda-ric/index.mjs "$_HANDLER"\n' > "$root/var/runtime/bootstrap"
chmod 755 "$root/var/runtime/bootstrap"
close_network
