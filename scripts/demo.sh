#!/bin/sh
# The main job on a development cluster, from nothing. It leaves the cluster up
# and says how to look at it; `make demo-down` stops everything.
set -eu
cd "$(dirname "$0")/.."
sh scripts/packages.sh git
sh scripts/demo-down.sh
echo "== build the demo"
go build -trimpath -o bin/demo ./internal/demo
mkdir -p .dev
echo "== A real control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK"
bin/devcluster up --dir .dev/demo-cluster
KUBECONFIG="$PWD/.dev/demo-cluster/kubeconfig" exec bin/demo show .dev/demo
