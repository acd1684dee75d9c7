#!/bin/sh
# Stops what `make demo` left running.
set -eu
cd "$(dirname "$0")/.."
if [ -x bin/demo ] && [ -d .dev/demo ]; then bin/demo stop .dev/demo; fi
if [ -x bin/devcluster ] && [ -d .dev/demo-cluster ]; then bin/devcluster down --dir .dev/demo-cluster; fi
rm -rf .dev/demo
