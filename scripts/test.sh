#!/bin/sh
# Runs the tests of the given packages on one development cluster, which it
# starts and stops. With KUBECONFIG_TEST set they use that cluster.
set -eu
cd "$(dirname "$0")/.."

sh scripts/packages.sh git openssh-server

echo "== build bin/plumb-test, the product with its crash points armed"
CGO_ENABLED=0 go build -trimpath -tags failpoint -o bin/plumb-test .

sh scripts/registry.sh
sh scripts/helm.sh
sh scripts/servers.sh
sh devcluster/build.sh
if [ -z "${KUBECONFIG_TEST:-}" ]; then
	dir="$PWD/.dev/test"
	trap 'bin/devcluster down --dir "$dir"' EXIT
	trap 'exit 130' INT TERM
	echo "== start a development cluster"
	bin/devcluster down --dir "$dir"
	bin/devcluster up --dir "$dir"
	KUBECONFIG_TEST="$dir/kubeconfig"
	export KUBECONFIG_TEST
fi

# The scenarios come last and alone: some of them measure, and all of them need
# the machine. They mostly wait for things to happen, so more run than there are cores.
echo "== go test -race $*"
scenarios=$(go list "$@" | grep '/internal/scenario$' || true)
others=$(go list "$@" | grep -v '/internal/scenario$' || true)
# shellcheck disable=SC2086
[ -z "$others" ] || go test -race -shuffle=on -timeout 20m $others
# shellcheck disable=SC2086
[ -z "$scenarios" ] || go test -race -timeout 25m -parallel 6 $scenarios
