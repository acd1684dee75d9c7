package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/source"
)

// Of a set of very many objects a commit changes a few files. A build that remembers
// which objects each file gave the last time reads the changed ones only, and names
// what is as it was. That can be done where kustomize has no part (straight.go): then
// a file gives the same objects whatever stands in the others.

// Ref names an object that a build gave.
type Ref struct {
	schema.GroupVersionKind
	Namespace, Name string // as built

	sum [sha256.Size]byte // of its content
}

// Memory is which objects each file gave. It is good for builds of the same spec.
type Memory struct{ files map[string]remembered }

// remembered is what a file gave.
type remembered struct {
	hash string // of the file
	refs []Ref
	raw  []identity // as they stand in the file, where variables may be in names
}

// identities are those by which kustomize tells the objects of a file apart.
func (r remembered) identities() []identity {
	if r.raw != nil {
		return r.raw
	}
	out := make([]identity, len(r.refs))
	for i, ref := range r.refs {
		out[i] = identity{ref.GroupKind(), ref.Namespace, ref.Name}
	}
	return out
}

// part is what a file gives to a build: objects, or what is remembered of it.
type part struct {
	remembered
	file     string
	from, to int // in the objects of the build
}

// errForgotten says that a build which began with a memory has to begin without.
var errForgotten = errors.New("what is remembered of the last build does not do")

// Again builds as Kustomization does, but for the files that are as they were in the
// build that memory is from, which was one of the same spec: their objects are not
// among Objects, but named in Kept. Without a memory, or where it is of no use, all is
// built.
func Again(ctx context.Context, tree source.Tree, spec Spec, memory *Memory) (Result, error) {
	r := newRecorder(ctx, tree)
	b := &builder{recorder: r, spec: spec, plain: map[string][]byte{}, memory: memory}
	objects, err := b.build()
	if memory != nil && err != nil {
		return Again(ctx, tree, spec, nil) // the error may be about a file that was not read
	}
	reads := r.readSet(b.remote)
	if r.broken != nil {
		// Whatever else went wrong is a consequence.
		return Result{Reads: reads}, r.broken
	}
	if err != nil {
		return Result{Reads: reads}, err
	}
	return b.result(objects, reads), nil
}

// result puts together what was built and what is remembered.
func (b *builder) result(objects []*unstructured.Unstructured, reads ReadSet) Result {
	out := Result{Objects: objects, Reads: reads}
	h := sha256.New()
	if b.parts == nil {
		for _, obj := range objects {
			sum := sumOf(obj)
			h.Write(sum[:])
		}
	} else {
		out.Memory = &Memory{files: make(map[string]remembered, len(b.parts))}
		seen := map[string]string{}
		for _, p := range b.parts {
			if p.refs == nil {
				p.refs = refsOf(objects[p.from:p.to], seen)
			} else {
				out.Kept = append(out.Kept, p.refs...)
			}
			for i := range p.refs {
				h.Write(p.refs[i].sum[:])
			}
			out.Memory.files[p.file] = p.remembered
		}
	}
	out.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return out
}

// refsOf names objects. What many have in common is kept once, in seen.
func refsOf(objects []*unstructured.Unstructured, seen map[string]string) []Ref {
	one := func(text string) string {
		if kept, ok := seen[text]; ok {
			return kept
		}
		seen[text] = text
		return text
	}
	refs := make([]Ref, len(objects))
	for i, obj := range objects {
		gvk := obj.GroupVersionKind()
		gvk.Group, gvk.Version, gvk.Kind = one(gvk.Group), one(gvk.Version), one(gvk.Kind)
		refs[i] = Ref{GroupVersionKind: gvk, Namespace: one(obj.GetNamespace()), Name: obj.GetName(), sum: sumOf(obj)}
	}
	return refs
}

// unchanged tells whether what a file gave is remembered. It notes that the outcome
// depends on the file, as reading it would.
func (b *builder) unchanged(name string) bool {
	if b.memory == nil {
		return false
	}
	real, entry, err := b.resolve(name)
	if was, ok := b.memory.files[name]; err != nil || !ok || was.hash != entry.Hash {
		return false
	}
	b.depends(real)
	return true
}

// Hash names the content of one desired object: hex, stable over the order of
// keys and over processes.
func Hash(obj *unstructured.Unstructured) string {
	sum := sumOf(obj)
	return hex.EncodeToString(sum[:])
}

func sumOf(obj *unstructured.Unstructured) [sha256.Size]byte {
	// encoding/json sorts the keys of maps.
	content, err := json.Marshal(obj.Object)
	if err != nil {
		// Objects of this package and of any client hold only what JSON can.
		content = fmt.Appendf(nil, "%#v", obj.Object)
	}
	return sha256.Sum256(content)
}
