#!/bin/sh
# Runs the benchmarks on a development cluster of their own. N=... sets how many
# Kustomizations the many-small cases have.
set -eu
cd "$(dirname "$0")/.."
sh scripts/packages.sh git
dir="$PWD/.dev/bench"
trap 'bin/devcluster down --dir "$dir"' EXIT
trap 'exit 130' INT TERM
bin/devcluster down --dir "$dir"
bin/devcluster up --dir "$dir"
# What is measured is the product itself, without crash points.
PLUMB_TEST_BINARY="$PWD/bin/plumb" KUBECONFIG_TEST="$dir/kubeconfig" go test -tags bench -count=1 -timeout 60m -v ./bench
go test -run '^$' -bench . -benchmem ./build ./drift ./live
sh scripts/servers.sh
go test -run '^$' -bench . -benchtime 5x ./source/bucket
go test -run '^$' -bench . -benchtime 3x ./source/helmrepo ./source/git
