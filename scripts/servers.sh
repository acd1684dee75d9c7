#!/bin/sh
# Makes sure of the servers that tests of buckets talk to: versitygw, which serves
# S3 from a folder, built from its published module into .dev/bin; and Azurite, the
# emulator of Azure Blob, from its npm package into .dev/azurite.
set -eu
cd "$(dirname "$0")/.."

module=github.com/versity/versitygw
version=v1.8.0
bin="$PWD/.dev/bin"
if ! { [ -x "$bin/versitygw" ] && go version -m "$bin/versitygw" | grep -q "$module[[:space:]]*$version"; }; then
	echo "== build the S3 server $module@$version"
	mkdir -p "$bin"
	GOBIN="$bin" CGO_ENABLED=0 go install -trimpath "$module/cmd/versitygw@$version"
fi

azurite=3.37.0
dir="$PWD/.dev/azurite"
command -v npm >/dev/null && command -v node >/dev/null || sh scripts/packages.sh nodejs npm
if ! grep -qs "\"version\": \"$azurite\"" "$dir/node_modules/azurite/package.json" || [ ! -x "$dir/node_modules/.bin/azurite-blob" ]; then
	echo "== install the Azure Blob emulator azurite@$azurite"
	mkdir -p "$dir"
	npm install --prefix "$dir" --no-save --no-audit --no-fund --loglevel=error "azurite@$azurite"
fi
