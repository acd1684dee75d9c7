package build

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/types"
)

// changes tells whether the spec asks for more than the kustomization as it is.
func (s Spec) changes() bool {
	return s.TargetNamespace != "" || s.NamePrefix != "" || s.NameSuffix != "" ||
		len(s.Patches)+len(s.Components)+len(s.Images)+len(s.BuildMetadata) > 0
}

// customize puts what the spec asks for into the kustomization in a folder.
func (b *builder) customize(dir string, k *types.Kustomization) error {
	s := b.spec
	for to, value := range map[*string]string{&k.Namespace: s.TargetNamespace, &k.NamePrefix: s.NamePrefix, &k.NameSuffix: s.NameSuffix} {
		if value != "" {
			*to = value
		}
	}
	k.Patches = append(k.Patches, s.Patches...)
	if len(s.BuildMetadata) > 0 {
		k.BuildMetadata = s.BuildMetadata
	}
	for _, image := range s.Images {
		same := func(i types.Image) bool { return i.Name == image.Name }
		k.Images = append(slices.DeleteFunc(k.Images, same), image)
	}
	for _, component := range s.Components {
		there, err := b.component(dir, component)
		if err != nil {
			return err
		}
		if there && !slices.Contains(k.Components, component) {
			k.Components = append(k.Components, component)
		}
	}
	return nil
}

// component tells whether a component of the spec is to be used: one that is not
// there is an error unless the spec says otherwise.
func (b *builder) component(dir, name string) (bool, error) {
	if path.IsAbs(name) || isURL(name) {
		return false, failure(b.spec.Path, "spec.components: %s: a component is a folder of the source, written relative to spec.path", redacted(name))
	}
	_, _, err := b.resolve(path.Join(dir, name))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist) && b.spec.IgnoreMissingComponents:
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, failure(b.spec.Path, "spec.components: %s does not exist in the source; correct it, or set spec.ignoreMissingComponents", name)
	default:
		return false, failure(b.spec.Path, "spec.components: %s: %w", name, err)
	}
}
