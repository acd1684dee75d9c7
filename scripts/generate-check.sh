#!/bin/sh
# Generates into a copy and compares, so that a check changes nothing and needs
# no git.
set -eu
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM
cp -R Makefile go.mod go.sum api tools "$copy"
find "$copy/api" \( -name 'zz_generated.*' -o -path '*/crds/*.yaml' \) -exec rm {} +
make -s -C "$copy" generate-api
if ! diff -r api "$copy/api"; then
	echo "the generated files are not up to date; run: make generate" >&2
	exit 1
fi
go run . install --export --image plumb:dev >"$copy/install.yaml"
if ! diff deploy/install.yaml "$copy/install.yaml"; then
	echo "deploy/install.yaml is not up to date; run: make generate" >&2
	exit 1
fi
