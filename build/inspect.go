package build

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// kustomization is one that takes part in the build.
type kustomization struct {
	dir, name string // the folder, and the path of the file
	*types.Kustomization
}

// inspect goes through the kustomization in dir and all that it is made of,
// before kustomize does. It refuses what kustomize would fetch from elsewhere:
// kustomize fetches with a client of its own, which can't be taken away from it.
// It finds what is missing, where kustomize's errors name no file. And it reads
// the operands, so that kustomize, which runs alone (run), waits for no disk.
func (b *builder) inspect(dir string) error {
	if slices.ContainsFunc(b.visited, func(k kustomization) bool { return k.dir == dir }) {
		return nil
	}
	name, err := b.kustomizationName(dir)
	if err != nil {
		return err
	}
	parsed, err := b.parse(name)
	if err != nil {
		return err
	}
	parsed.FixKustomization()
	k := kustomization{dir: dir, name: name, Kustomization: parsed}
	if len(k.HelmCharts) > 0 {
		return failure(name, "helmCharts: charts are not rendered by a kustomization; use a HelmRelease or commit the rendered manifests")
	}
	b.schema = b.schema || k.OpenAPI != nil
	b.patched = b.patched || len(k.Patches)+len(k.PatchesStrategicMerge)+len(k.Components) > 0
	b.building = append(b.building, dir)
	for _, ref := range references(k.Kustomization) {
		if err := b.reference(k, ref); err != nil {
			return err
		}
	}
	if err := b.embedded(k); err != nil {
		return err
	}
	b.building = b.building[:len(b.building)-1]
	b.visited = append(b.visited, k)
	return nil
}

// kustomizationName returns the path of the kustomization in dir.
func (b *builder) kustomizationName(dir string) (string, error) {
	for name := range b.overlay {
		if path.Dir(name) == dir {
			return name, nil
		}
	}
	name, err := b.kustomizationFile(dir)
	if err == nil && name == "" {
		err = failure(dir, "has no kustomization.yaml; add one or name its files one by one")
	}
	return path.Join(dir, name), err
}

// reference checks one thing that k refers to.
func (b *builder) reference(k kustomization, ref reference) error {
	if b.isRemote(k, ref) {
		if !b.spec.RemoteBases {
			return failure(k.name, "%s: %s is remote, and remote bases are off; copy it into the source, or allow them with --allow-remote-bases", ref.field, redacted(ref.path))
		}
		b.remote = true
		return nil
	}
	if ref.inline() {
		return nil
	}
	if path.IsAbs(ref.path) {
		return failure(k.name, "%s: %s is an absolute path; write it relative to this file", ref.field, ref.path)
	}
	real, entry, err := b.resolve(path.Join(k.dir, ref.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failure(k.name, "%s: %s does not exist in the source", ref.field, ref.path)
	case errors.Is(err, errOutside):
		return failure(k.name, "%s: %s %w", ref.field, ref.path, errOutside)
	case err != nil:
		return failure(k.name, "%s: %w", ref.field, err)
	case entry.IsDir():
		return b.base(k, ref, real)
	case ref.to == toComponent:
		return failure(k.name, "%s: %s is a file; a component is a folder", ref.field, ref.path)
	}
	return b.part(ref, path.Join(k.dir, ref.path))
}

// isRemote tells whether kustomize would look for ref elsewhere. It takes what
// looks like a repository for a file of the tree where there is one.
func (b *builder) isRemote(k kustomization, ref reference) bool {
	if isURL(ref.path) {
		return true
	}
	if ref.to == toFile || !isRepository(ref.path) {
		return false
	}
	_, entry, err := b.resolve(path.Join(k.dir, ref.path))
	return err != nil || entry.IsDir() || ref.to == toComponent
}

// base inspects a folder that k refers to.
func (b *builder) base(k kustomization, ref reference, dir string) error {
	if ref.to == toFile {
		return failure(k.name, "%s: %s is a folder, not a file", ref.field, ref.path)
	}
	for i, outer := range b.building {
		if outer == dir {
			return failure(k.name, "%s: bases form a cycle: %s", ref.field, strings.Join(append(slices.Clone(b.building[i:]), dir), " -> "))
		}
		if dir == "." || strings.HasPrefix(outer, dir+"/") {
			return failure(k.name, "%s: %s contains %s, which is being built; a base can't be above what uses it", ref.field, ref.path, outer)
		}
	}
	if err := b.inspect(dir); err != nil {
		return err
	}
	if ref.to != toPlugin {
		return nil
	}
	return b.pluginBase(k, dir)
}

// part reads a file that takes part in the build.
func (b *builder) part(ref reference, name string) error {
	if ref.to == toOperand && b.unchanged(name) {
		return nil
	}
	content, err := b.file(name)
	if err != nil {
		return inFile(name, err)
	}
	if ref.to == toPlugin && !b.spec.RemoteBases {
		return pluginFile(name, content)
	}
	return nil
}

// embedded checks what is written in a kustomization instead of in a file of its
// own.
func (b *builder) embedded(k kustomization) error {
	for _, text := range slices.Concat(k.Generators, k.Transformers, k.Validators) {
		if b.spec.RemoteBases || !isInline(text) {
			continue
		}
		if err := pluginFile(k.name, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// pluginFile refuses the configuration of a plugin that refers to something
// remote.
func pluginFile(name string, content []byte) error {
	for _, doc := range documents(content) {
		node, err := doc.decode()
		if err != nil {
			continue // kustomize will say so
		}
		if url := findURL(node, false); url != "" {
			return remotePlugin(name, url)
		}
	}
	return nil
}

// pluginBase checks the objects that a base is built to like files: patches and
// replacements may have put them together from parts that were harmless.
func (b *builder) pluginBase(k kustomization, dir string) error {
	built, err := b.run(dir)
	if err != nil {
		return b.explain(err)
	}
	for _, resource := range built.Resources() {
		if url := findURL(resource.YNode(), false); url != "" && !b.spec.RemoteBases {
			return remotePlugin(k.name, url)
		}
		w := writer{depth: maxEmbedded, sizes: map[*yaml.Node]int{}}
		if _, err := w.size(resource.YNode()); err != nil {
			return &Error{File: k.name, Err: err}
		}
	}
	return nil
}

func remotePlugin(name, url string) error {
	return failure(name, "refers to %s, which is remote, and remote bases are off; copy it into the source, or allow them with --allow-remote-bases", redacted(url))
}

// loading are the fields by which kustomize's own plugins load files (generators
// and transformers of kustomize/api v0.21.1). Their case doesn't matter to it.
var loading = map[string]bool{"path": true, "paths": true, "files": true, "env": true, "envs": true}

// findURL returns the first text below node that a plugin would fetch. In a
// field that loads, every text is a path, or "key=path".
func findURL(node *yaml.Node, loads bool) string {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode && loads {
		_, path, _ := strings.Cut(node.Value, "=")
		for _, text := range []string{node.Value, path} {
			if isURL(text) {
				return text
			}
		}
	}
	for i, child := range node.Content {
		in := loads
		if node.Kind == yaml.MappingNode && i%2 == 1 {
			in = in || loading[strings.ToLower(node.Content[i-1].Value)]
		}
		if url := findURL(child, in); url != "" {
			return url
		}
	}
	return ""
}
