// Package build turns a tree and a spec into manifests, in memory.
//
// The spec names a folder. Its kustomization (kustomize's file of that name, or
// one that is generated from the folder's YAML files) is built by kustomize as a
// library. Everything that was looked at in the tree on the way, and everything
// that was looked for and not there, is noted in the read set: while that is
// Unchanged in a later tree, a build there would have the same outcome.
//
// An operand is what a kustomization is made of: a file of objects, or a folder
// with a kustomization of its own (a base).
package build

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/plumb-gitops/plumb/build/decrypt"
	"github.com/plumb-gitops/plumb/source"
)

// Spec says what to build. Its zero value builds the root of the tree as it is.
type Spec struct {
	// Path is the folder to build, from the root of the tree: "apps/web",
	// "./apps/web" and "/apps/web" are the same, "" is the root.
	Path string
	// TargetNamespace, unless "", becomes the namespace of all objects, over the
	// one that the kustomization sets.
	TargetNamespace string
	// NamePrefix and NameSuffix go around the names of all objects.
	NamePrefix, NameSuffix string
	// Patches come after those of the kustomization, and Components after its own;
	// these are folders, relative to Path.
	Patches    []types.Patch
	Components []string
	// IgnoreMissingComponents leaves out Components that are not there.
	IgnoreMissingComponents bool
	// Images replace those of the kustomization that have the same name.
	Images []types.Image
	// BuildMetadata, unless empty, takes the place of the kustomization's.
	BuildMetadata []string
	// CommonMetadata is added to every object.
	CommonMetadata Metadata
	// Substitution of variables comes after the build.
	Substitution Substitution
	// Decrypt holds the keys for files that SOPS encrypted; nil refuses those.
	Decrypt *decrypt.Keys
	// RemoteBases allows kustomizations to fetch from elsewhere (http, git). That
	// makes the build depend on what nobody can compare: its read set is never
	// Unchanged.
	RemoteBases bool
}

// Result is the outcome of a build.
type Result struct {
	// Objects are in the order of the kustomization's operands, which is the
	// same in every build. Each has an apiVersion, a kind and a name, and no two
	// are the same object. Namespaces are as written: those who know which kinds
	// have one fill in or drop it.
	Objects []*unstructured.Unstructured
	// Kept are further objects, which are as they were in the last build (Again).
	Kept []Ref
	// Digest names the content of all of them: "sha256:" and hex.
	Digest string
	// Memory is for the next build of the same spec; nil where that has to build all.
	Memory *Memory
	// Reads is what the outcome depends on.
	Reads ReadSet
}

// Error is what is wrong with a file or a folder of the tree.
type Error struct {
	File string // from the root of the tree
	Err  error
}

// Error leads with the file.
func (e *Error) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap returns the error without the file.
func (e *Error) Unwrap() error { return e.Err }

// failure makes an Error.
func failure(file, format string, args ...any) *Error {
	return &Error{File: file, Err: fmt.Errorf(format, args...)}
}

// Kustomization builds spec in tree. No objects is no error. The Result's read
// set is valid with an error, too: the same error comes again until something in
// it changes. Errors in the content are *Error; others (ctx done, the tree can't
// be read) say nothing about it, and their read set is never Unchanged.
func Kustomization(ctx context.Context, tree source.Tree, spec Spec) (Result, error) {
	return Again(ctx, tree, spec, nil)
}

// builder is one build.
type builder struct {
	*recorder
	spec     Spec
	plain    map[string][]byte // what was decrypted, by file
	overlay  map[string][]byte // kustomizations as the spec wants them, in place of the tree's
	visited  []kustomization   // bases come before those that use them
	building []string          // the folders that lead to the one being inspected
	remote   bool              // something remote is used
	schema   bool              // some kustomization brings its own OpenAPI schema
	patched  bool              // some kustomization has patches
	memory   *Memory           // of the last build; nil for none
	parts    []part            // what each file gave, of a build without kustomize
}

func (b *builder) build() ([]*unstructured.Unstructured, error) {
	dir, err := b.prepare()
	if err != nil || dir == "" {
		return nil, err
	}
	if err := b.inspect(dir); err != nil {
		return nil, err
	}
	if objects, ok := b.straight(dir); ok { // and its parts are noted
		return b.finish(objects)
	}
	if b.memory != nil {
		return nil, errForgotten
	}
	built, err := b.run(dir)
	if err != nil {
		return nil, b.explain(err)
	}
	objects, err := convert(built)
	if err != nil {
		return nil, b.explain(err)
	}
	return b.finish(objects)
}
