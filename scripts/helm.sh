#!/bin/sh
# Makes sure of the helm command line that tests hold our records against: of the
# version that the product is built with, from its published module into .dev/bin.
set -eu
cd "$(dirname "$0")/.."
module=helm.sh/helm/v3
version=$(go list -m -f '{{.Version}}' "$module")
bin="$PWD/.dev/bin"
if [ -x "$bin/helm" ] && go version -m "$bin/helm" | grep -q "$module[[:space:]]*$version"; then exit 0; fi
echo "== build the helm command line $module@$version"
mkdir -p "$bin"
GOBIN="$bin" CGO_ENABLED=0 go install -trimpath "$module/cmd/helm@$version"
