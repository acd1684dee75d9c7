.DEFAULT_GOAL := help
SHELL := /bin/sh

version := $(shell git describe --tags --dirty 2>/dev/null || echo v0.0.0-dev)
commit := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
package := github.com/plumb-gitops/plumb/cli
ldflags := -s -w -X $(package).version=$(version) -X $(package).commit=$(commit)
# disable_grpc_modules: without the service mesh client of Google's storage library, 12 MB that nothing here calls;
# grpcnotrace: without the pages of golang.org/x/net/trace, which nothing here serves.
tags := disable_grpc_modules,grpcnotrace
build := CGO_ENABLED=0 go build -trimpath -tags $(tags) -ldflags "$(ldflags)"

.PHONY: help build image devcluster demo demo-down test fuzz race bench lint generate generate-api generate-check presubmit release clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

build: ## bin/plumb, static
	$(build) -o bin/plumb .

image: ## a container image, IMAGE=plumb:dev
	docker build --build-arg VERSION=$(version) --build-arg COMMIT=$(commit) -t $(or $(IMAGE),plumb:dev) .

devcluster: ## bin/devcluster, a real control plane for demos and tests
	@sh devcluster/build.sh

demo: build devcluster ## the main job on the development cluster
	@sh scripts/demo.sh

demo-down: ## stop what the demo left running
	@sh scripts/demo-down.sh

test: ## all tests, with the race detector, on a development cluster
	@sh scripts/test.sh ./...

fuzz: ## every fuzz target of what reads foreign bytes, FUZZTIME each (30s)
	@sh scripts/fuzz.sh

race: test ## the same: tests always run with the race detector

bench: build devcluster ## the figures, as ratios to a floor in the same run; CASE=... and N=... choose
	@CASE="$(CASE)" N="$(N)" sh scripts/bench.sh

lint: ## gofmt, go vet and the linters of .golangci.yml (their first build takes minutes)
	go tool -modfile=tools/golangci/go.mod golangci-lint run ./...
	cd devcluster && go vet ./...

generate: generate-api ## deep copies and CRDs from the Go types, and deploy/ from those
	go run . install --export --image plumb:dev > deploy/install.yaml.new
	mv deploy/install.yaml.new deploy/install.yaml

generate-api:
	go tool -modfile=tools/go.mod controller-gen object paths=./api/... crd:crdVersions=v1 output:crd:artifacts:config=api/crds

generate-check: ## fail when generated files are not up to date
	@sh scripts/generate-check.sh

presubmit: generate-check lint test ## what a change has to pass

release: ## dist/: linux amd64 and arm64, with checksums
	@mkdir -p dist
	GOOS=linux GOARCH=amd64 $(build) -o dist/plumb-linux-amd64 .
	GOOS=linux GOARCH=arm64 $(build) -o dist/plumb-linux-arm64 .
	cd dist && sha256sum plumb-linux-* > SHA256SUMS

clean: demo-down ## remove what was built
	rm -rf bin dist .dev
