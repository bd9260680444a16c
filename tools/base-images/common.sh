# Sourced by each customize.sh. $root is the root file system that is being made, $recipe the recipe's folder.
set -eu
root="$1"
recipe="$(cd "$(dirname "$0")" && pwd)"

inside() { chroot "$root" "$@"; }

# Name lookups and certificates inside, so that package managers work while the image is made, and in the RUN steps of
# whoever builds on it: a machine behind an inspecting proxy trusts that proxy's authority, and so must its images.
open_network() {
	rm -f "$root/etc/resolv.conf"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	cp -L "$TRUSTED_CERTIFICATES" "$root/etc/ssl/certs/ca-certificates.crt"
}

close_network() {
	: > "$root/etc/resolv.conf"
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/tmp/* "$root"/root/.cache "$root"/root/.npm
}

# What every Lambda base image has: the entry point, the emulator, the folders.
lambda_layout() {
	mkdir -p "$root/var/task" "$root/var/runtime" "$root/opt/extensions"
	install -m 755 "$recipe/../lambda-entrypoint.sh" "$root/lambda-entrypoint.sh"
	install -m 755 "$EMULATOR" "$root/usr/local/bin/aws-lambda-rie"
}
