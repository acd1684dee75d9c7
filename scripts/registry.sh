#!/bin/sh
# Makes sure of the registry that tests of OCI sources talk to: that of the
# Distribution project, built from its published module into .dev/bin.
set -eu
cd "$(dirname "$0")/.."
module=github.com/distribution/distribution/v3
version=v3.1.2
bin="$PWD/.dev/bin"
if [ -x "$bin/registry" ] && go version -m "$bin/registry" | grep -q "$module[[:space:]]*$version"; then exit 0; fi
echo "== build the registry $module@$version"
mkdir -p "$bin"
GOBIN="$bin" CGO_ENABLED=0 go install -trimpath "$module/cmd/registry@$version"
