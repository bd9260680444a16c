#!/bin/sh
# Builds and deploys the saga, sends orders of which each is killed at another step, and waits until all are consistent.
#   eval "$(slipway env)" && ./run.sh
set -eu
cd "$(dirname "$0")"
cp ../../packages/idempotency/src/index.ts idempotency.ts
# With Docker, or with buildah where no Docker engine answers. The image comes in as an archive: nobody has to log in.
archive=$(mktemp -u) && trap 'rm -f "$archive" idempotency.ts' EXIT
if docker info >/dev/null 2>&1; then
	docker build --quiet -t saga . && docker save saga -o "$archive"
else
	buildah build --quiet --isolation=chroot --pull=never --format=docker -t saga . &&
		buildah push --quiet saga "docker-archive:$archive:saga:latest"
fi
slipway image import "$archive" --repository saga

service() { # NAME [OPTIONS]: a service with files of its own, of which one instance runs
	name=$1 && shift
	slipway service deploy saga --name "$name" --command /var/lang/bin/node --args "/var/task/$name.mjs" \
		--max-instances 1 --volume "$name:/data" "$@"
}
service payment
service stock --env PIECES=10
slipway function rm order 2>/dev/null || true
slipway function create order --image "$SLIPWAY_REGISTRY/saga" --timeout 5
# Longer than the function's time: an order that was killed is free again when it comes again.
slipway queue create orders --dead-letters orders-dlq --visibility 8s --max-receives 6
slipway trigger ls | grep -q 'queue orders ' ||
	slipway queue trigger orders --function order --item-failures --batch-size 1

# An order is done once: those of another run have other ids.
run=$(date +%s)-
n=0
send() { n=$((n + 1)) && slipway queue send orders "{\"id\":\"$run$n\",\"amount\":$1,\"quantity\":$2,\"crash\":\"$3\"}"; }
for step in "none" "order before payment" "before payment" "after payment" "order after payment" \
	"order before stock" "before stock" "after stock" "order after stock"; do
	send 100 1 "$step"
done
# Refused: too expensive, or more than there is; and killed while it is undone.
send 5000 1 "order before undoing payment"
for step in "none" "order before undoing stock" "order before undoing payment" "order undone"; do
	send 100 100 "$step"
done

until node check.mjs "$(slipway service curl payment)" "$(slipway service curl stock)" "$run" "$n" &&
	! slipway events ls | grep -q '^queue orders '; do sleep 2; done
slipway events ls
echo "Every order is consistent. Dead letters, if any: slipway queue peek orders-dlq; back: slipway queue redrive orders-dlq"
