#!/bin/sh
# Runs the tests of the given packages on one development cluster, which it
# builds, starts and stops. With KUBECONFIG_TEST set they use that cluster, and
# none is built.
set -eu
cd "$(dirname "$0")/.."

sh scripts/packages.sh git openssh-server

echo "== build bin/plumb-test, the product with its crash points armed"
CGO_ENABLED=0 go build -trimpath -tags failpoint -o bin/plumb-test .

if [ -z "${KUBECONFIG_TEST:-}" ]; then
	sh devcluster/build.sh
	dir="$PWD/.dev/test"
	trap 'bin/devcluster down --dir "$dir"' EXIT
	trap 'exit 130' INT TERM
	echo "== start a development cluster"
	bin/devcluster down --dir "$dir"
	bin/devcluster up --dir "$dir"
	KUBECONFIG_TEST="$dir/kubeconfig"
	export KUBECONFIG_TEST
fi

echo "== go test -race $*"
go test -race -shuffle=on -timeout 30m "$@"
(cd devcluster && go test ./...)
