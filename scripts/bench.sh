#!/bin/sh
# Runs the benchmarks, each on a development cluster of its own. CASE=a,b chooses
# cases, N=100,500 sizes; PROFILE=1 keeps CPU profiles of the engine. What comes out
# is in bench/out.
set -eu
cd "$(dirname "$0")/.."
sh scripts/packages.sh git
sh scripts/registry.sh
trap 'bin/devcluster down --dir "$PWD/.dev/bench"' EXIT
trap 'exit 130' INT TERM
go build -trimpath -o bin/bench ./bench
bin/bench -case "${CASE:-}" -n "${N:-}" ${PROFILE:+-profile}
