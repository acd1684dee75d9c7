package build

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// prepare finds the kustomization that the spec names, generating it where there
// is none, and puts what the spec changes in it into the overlay. It returns the
// folder, or "" when there is nothing to build.
func (b *builder) prepare() (dir string, err error) {
	if dir, err = b.folder(b.spec.Path); err != nil {
		return "", err
	}
	name, err := b.kustomizationFile(dir)
	if err != nil {
		return "", err
	}
	if name == "" {
		return b.generated(dir)
	}
	k, err := b.parse(path.Join(dir, name))
	if err != nil {
		return "", err
	}
	if empty(k) && len(b.spec.Components) == 0 {
		return "", nil
	}
	if !b.spec.changes() {
		return dir, nil
	}
	return dir, b.overlays(path.Join(dir, name), k)
}

// folder follows the path of the spec to the folder that it names.
func (b *builder) folder(specPath string) (string, error) {
	name := path.Clean(strings.TrimLeft(specPath, "/"))
	real, entry, err := b.resolve(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", failure(name, "there is no such folder in the source; the nearest that exists is %s; correct spec.path", b.nearest(name))
	case errors.Is(err, errOutside):
		return "", failure(name, "%w; spec.path is a folder in it", errOutside)
	case err != nil:
		return "", failure(name, "%w", err)
	case !entry.IsDir():
		return "", failure(name, "is a file; spec.path is the folder of a kustomization or of manifests")
	}
	return real, nil
}

// nearest returns the closest parent of name that is there.
func (b *builder) nearest(name string) string {
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if _, _, err := b.resolve(parent); err == nil {
			return parent
		}
	}
	return "the root of the source"
}

// kustomizationFile returns the name of the kustomization in a folder, "" when
// there is none.
func (b *builder) kustomizationFile(dir string) (string, error) {
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if _, entry, err := b.resolve(path.Join(dir, name)); err == nil && !entry.IsDir() {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	default:
		return "", failure(dir, "has more than one kustomization, %s; remove all but one", strings.Join(found, " and "))
	}
}

// parse reads the kustomization in a file.
func (b *builder) parse(name string) (*types.Kustomization, error) {
	content, err := b.file(name)
	if err != nil {
		return nil, inFile(name, err)
	}
	k := &types.Kustomization{}
	if err := k.Unmarshal(content); err != nil {
		return nil, malformed(name, content, err)
	}
	return k, nil
}

// malformed says why a kustomization can't be parsed; the line is right only in
// what our own parsing says.
func malformed(name string, content []byte, err error) *Error {
	for _, doc := range documents(content) {
		if _, err := doc.decode(); err != nil {
			return &Error{File: name, Err: err}
		}
	}
	return failure(name, "%s", plain(err))
}

// inFile makes err an Error about name, unless it is one.
func inFile(name string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{File: name, Err: errors.New(strings.TrimPrefix(err.Error(), name+": "))}
}

// empty tells whether a kustomization asks for nothing; kustomize refuses these.
func empty(k *types.Kustomization) bool {
	fixed := *k
	fixed.FixKustomization()
	return fixed.CheckEmpty() != nil
}

// overlays puts k, as the spec wants it, in place of the file of that name.
func (b *builder) overlays(name string, k *types.Kustomization) error {
	if err := b.customize(path.Dir(name), k); err != nil {
		return err
	}
	content, err := yaml.Marshal(k)
	if err != nil {
		return failure(name, "%w", err)
	}
	b.overlay = map[string][]byte{name: content}
	return nil
}

// generated makes the kustomization of a folder that has none, as the toolkit
// does (kustomize-controller, docs/spec/v1/kustomizations.md, "Generating a
// kustomization.yaml file", and its behaviour): all *.yaml and *.yml files of the
// folder and those below, in lexical order, except that a folder with its own
// kustomization is taken as that. Each file must hold Kubernetes objects.
func (b *builder) generated(dir string) (string, error) {
	operands, err := b.operands(dir, ".")
	if err != nil || len(operands) == 0 {
		return "", err
	}
	k := &types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: operands,
	}
	return dir, b.overlays(path.Join(dir, konfig.DefaultKustomizationFileName()), k)
}

// operands lists what is in the folder below, as seen from dir. Links to folders
// are not entered: nothing would keep them from going in circles.
func (b *builder) operands(dir, below string) ([]string, error) {
	entries, err := b.list(path.Join(dir, below))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, entry := range entries {
		name := path.Join(below, entry.Name)
		if !entry.IsDir() {
			if ext := path.Ext(name); ext == ".yaml" || ext == ".yml" {
				all = append(all, "./"+name)
			}
			continue
		}
		more, err := b.operandsOf(dir, name)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// operandsOf is what one folder contributes: itself, or what is in it.
func (b *builder) operandsOf(dir, name string) ([]string, error) {
	if _, err := b.stat(path.Join(dir, name)); err != nil {
		return nil, err
	}
	own, err := b.kustomizationFile(path.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if own != "" {
		return []string{"./" + name}, nil
	}
	return b.operands(dir, name)
}
