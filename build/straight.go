package build

import (
	"bytes"
	"errors"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Most kustomizations, and all that are generated, ask for nothing but resources: their
// outcome is what stands in the files. That is read here, straight. kustomize would
// compare each object with each other one (resmap.Append, v0.21.1), which for ten
// thousand objects takes a minute, and would run alone (run). Whatever it might
// change, drop or refuse is left to it: this only says that it has no say in it.

// straight gives the objects of a build that asks kustomize for nothing; false when
// it may ask for something.
func (b *builder) straight(dir string) ([]*unstructured.Unstructured, bool) {
	if b.spec.RemoteBases || slices.ContainsFunc(b.visited, func(k kustomization) bool { return !onlyResources(k.Kustomization) }) {
		return nil, false
	}
	s := &straight{builder: b, have: map[identity][]string{}}
	if !s.folder(dir) {
		return nil, false
	}
	b.parts = s.parts
	return s.objects, true
}

// onlyResources tells whether a kustomization has nothing but resources.
func onlyResources(k *types.Kustomization) bool {
	rest := *k
	rest.Resources = nil
	want := types.Kustomization{TypeMeta: k.TypeMeta}
	want.FixKustomization()
	rest.FixKustomization()
	return k.Kind != types.ComponentKind && len(k.Resources) > 0 && reflect.DeepEqual(rest, want)
}

// straight gathers objects.
type straight struct {
	*builder
	objects []*unstructured.Unstructured
	parts   []part
	have    map[identity][]string // namespaces, by the rest of the identity
}

// folder adds what the kustomization in a folder names, in its order.
func (s *straight) folder(dir string) bool {
	at := slices.IndexFunc(s.visited, func(k kustomization) bool { return k.dir == dir })
	if at < 0 {
		return false
	}
	for _, resource := range s.visited[at].Resources {
		name := path.Join(dir, resource)
		real, entry, err := s.resolve(name)
		switch {
		case err != nil || isURL(resource):
			return false
		case entry.IsDir() && !s.folder(real), !entry.IsDir() && !s.add(name, entry.Hash):
			return false
		}
	}
	return true
}

// add adds what a file gives: as it is remembered, where it has not changed.
func (s *straight) add(name, hash string) bool {
	p := part{file: name, from: len(s.objects)}
	if s.unchanged(name) {
		p.remembered = s.memory.files[name]
		if slices.ContainsFunc(p.identities(), s.repeats) {
			return false
		}
	} else if !s.take(name) {
		return false
	}
	p.hash, p.to = hash, len(s.objects)
	if p.refs == nil && s.spec.Substitution.Variables != nil {
		for _, obj := range s.objects[p.from:p.to] {
			p.raw = append(p.raw, identify(obj))
		}
	}
	s.parts = append(s.parts, p)
	return true
}

// take adds the objects of a file.
func (s *straight) take(name string) bool {
	content, err := s.file(name)
	if err != nil || mayAlias(content) {
		return false
	}
	for _, line := range separator.FindAll(content, -1) {
		if rest := strings.TrimSpace(strings.TrimPrefix(string(line), "\n---")); rest != "" && rest[0] != '#' {
			return false
		}
	}
	if marksDocuments(content) {
		return false
	}
	// One parser for all documents of a file: a new one for each takes most of the
	// memory of a build of many small objects.
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		node := &yaml.Node{}
		err := decoder.Decode(node)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false // who explains it looks at each document by itself
		}
		if len(items(node)) == 0 {
			continue // it is empty
		}
		obj, err := object(node)
		if err != nil || !ordinary(obj) || s.repeats(identify(obj)) || hasEmptyItem(node) {
			return false
		}
		s.objects = append(s.objects, obj)
	}
}

// marksDocuments tells whether a text may have lines by which YAML ends a document, or
// says how to read it, beside those that separate documents. To kustomize they are
// something else.
func marksDocuments(text []byte) bool {
	for _, mark := range []string{"...", "%"} {
		if bytes.HasPrefix(text, []byte(mark)) || bytes.Contains(text, []byte("\n"+mark)) {
			return true
		}
	}
	return false
}

// repeats tells whether kustomize may take an object for one that was there before:
// to it, no namespace is the default one.
func (s *straight) repeats(id identity) bool {
	namespace := id.namespace
	id.namespace = ""
	if namespace == "default" {
		namespace = ""
	}
	before := s.have[id]
	s.have[id] = append(before, namespace)
	return len(before) > 0 && (namespace == "" || slices.Contains(before, namespace) || slices.Contains(before, ""))
}

// referring are the groups whose kinds refer to objects by more than a name, which
// kustomize looks at even where nothing is renamed.
var referring = []string{"rbac.authorization.k8s.io", "admissionregistration.k8s.io", "apiregistration.k8s.io", "apiextensions.k8s.io"}

// ordinary tells whether kustomize leaves an object as it is: no list, which it
// takes apart, and no annotation of its own.
func ordinary(obj *unstructured.Unstructured) bool {
	if strings.HasSuffix(obj.GetKind(), "List") || slices.Contains(referring, obj.GroupVersionKind().Group) {
		return false
	}
	metadata, _ := obj.Object["metadata"].(map[string]any)
	for _, field := range []string{"labels", "annotations"} {
		value, there := metadata[field]
		if !there {
			continue
		}
		texts, ok := value.(map[string]any)
		if !ok || len(texts) == 0 {
			return false
		}
		for name, text := range texts {
			if _, ok := text.(string); !ok || strings.Contains(name, "config.kubernetes.io/") || strings.Contains(name, "config.k8s.io/") {
				return false
			}
		}
	}
	return true
}

// hasEmptyItem tells whether there is a list with an item of nothing, which kustomize
// refuses.
func hasEmptyItem(node *yaml.Node) bool {
	for _, child := range node.Content {
		if node.Kind == yaml.SequenceNode && child.ShortTag() == yaml.NodeTagNull || hasEmptyItem(child) {
			return true
		}
	}
	return false
}
