package build

import (
	"fmt"
	"path"
	"runtime/debug"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomize lets one build run at a time. kyaml keeps the OpenAPI schema that
// strategic merge patches go by in package variables: a build that sets a schema
// of its own changes them under the others, and even without that, one build
// looks up a kind in a map while another fills it (kustomize issues 3659, 4824;
// openapi.IsNamespaceScoped in kyaml v0.21.1 reads without the lock). A build
// takes about a millisecond, and its files are in memory by then (inspect).
var kustomize sync.Mutex

// trimmed gives memory back once: loading the schema, which the first strategic
// merge patch does, takes 30 MiB for a moment, of which 11 MiB are kept. Builds
// without such patches never load it.
var trimmed sync.Once

// run builds the kustomization in dir. An *Error is ours, others are kustomize's.
func (b *builder) run(dir string) (built resmap.ResMap, err error) {
	kustomize.Lock()
	defer kustomize.Unlock()
	if b.schema {
		// A schema that a kustomization brings along is added to what is there
		// and stays for good; neither may touch another build.
		openapi.ResetOpenAPI()
		defer openapi.ResetOpenAPI()
	}
	defer func() {
		// Odd input makes kustomize panic here and there. What it had half done
		// to the schema is not to be relied on.
		if p := recover(); p != nil {
			openapi.ResetOpenAPI()
			built, err = nil, fmt.Errorf("kustomize can't take this input: %v", p)
		}
	}()
	files := b.filesystem()
	built, err = krusty.MakeKustomizer(options()).Run(files, path.Join(mount, dir))
	if files.excess != nil {
		// kustomize takes what it can't read for missing.
		return nil, files.excess
	}
	if b.patched {
		trimmed.Do(debug.FreeOSMemory)
	}
	return built, err
}

// options are those of the toolkit: the operands' order is kept, a kustomization
// may load files from anywhere in the tree, and plugins other than kustomize's own
// (executables, containers, Go) don't run.
func options() *krusty.Options {
	return &krusty.Options{
		Reorder:          krusty.ReorderOptionNone,
		LoadRestrictions: types.LoadRestrictionsNone,
		PluginConfig:     types.DisabledPluginConfig(),
	}
}
