#!/bin/sh
# Runs every fuzz target of what reads foreign bytes, FUZZTIME each (30s), two at
# once. With arguments it takes the targets of these packages.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- ./source/...
: "${FUZZTIME:=30s}"
built="$PWD/.dev/fuzz"
export FUZZTIME built
# Targets that write files wait for the disk at each; in memory they try far more.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
mkdir -p "$built/cache"

# Building for fuzzing is what takes long: each package is built once, then its
# targets run in its folder, where their seeds are.
packages=$(go list -f '{{.Dir}}' "$@" | while read -r dir; do
	if grep -qs '^func Fuzz' "$dir"/*_test.go; then echo "$dir"; fi
done)
if [ -z "$packages" ]; then
	echo "no fuzz targets in $*" >&2
	exit 1
fi
echo "== fuzz targets, $FUZZTIME each"
for dir in $packages; do
	program="$built/$(echo "${dir#"$PWD"/}" | tr / -).test"
	TMPDIR='' go test -c -fuzz . -o "$program" "$dir"
	grep -hos '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed "s#^func #$dir $program #"
done >"$built/targets"
# shellcheck disable=SC2016
xargs -n 3 -P 2 sh -c '
	cd "$0"
	if ! out=$("$1" -test.run "^$" -test.fuzz "^$2\$" -test.fuzztime "$FUZZTIME" -test.parallel 1 -test.fuzzcachedir "$built/cache" 2>&1); then
		# Go calls it a failure, without an input, when the time runs out in the
		# middle of one.
		if ! echo "$out" | grep -q "context deadline exceeded" || echo "$out" | grep -Eq "Failing input|panic|hung or terminated"; then
			echo "$out"
			echo "$2 in $0: failed"
			exit 1
		fi
	fi
	echo "$2: $(echo "$out" | grep "^fuzz: elapsed" | tail -n 1)"
' <"$built/targets"
