package chart

import (
	"errors"
	"io/fs"

	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/source"
)

// values merges the values files of the spec. used are those that were there.
func (w *work) values(files []*loader.BufferedFile) (merged []byte, used []string, err error) {
	if len(w.spec.ValuesFiles) == 0 {
		return nil, nil, nil
	}
	all := map[string]any{}
	for _, name := range w.spec.ValuesFiles {
		content, err := w.valuesFile(files, name)
		if errors.As(err, new(*source.NotFoundError)) && w.spec.IgnoreMissingValuesFiles {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		var values map[string]any
		if err := yaml.Unmarshal(content, &values); err != nil {
			return nil, nil, invalid("values file %s: %w", name, err)
		}
		merge(all, values)
		used = append(used, name)
	}
	merged, err = yaml.Marshal(all)
	return merged, used, err
}

// valuesFile reads a values file, from where the chart is.
func (w *work) valuesFile(files []*loader.BufferedFile, name string) ([]byte, error) {
	if w.spec.Source == nil {
		if content, ok := find(files, inside(name)); ok {
			return content, nil
		}
		return nil, notFound("values file %s: the chart has no such file: correct spec.valuesFiles, or set spec.ignoreMissingValuesFiles", name)
	}
	content, err := w.spec.Source.Tree.Read(inside(name))
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, source.ErrDamaged) {
		return nil, notFound("values file %s: the source has no such file: correct spec.valuesFiles, whose paths begin at its root, or set spec.ignoreMissingValuesFiles", name)
	}
	return content, err
}

// merge puts values over others, map by map. Anything else replaces what was there.
func merge(into, values map[string]any) {
	for name, value := range values {
		below, ok := value.(map[string]any)
		if old, both := into[name].(map[string]any); ok && both {
			merge(old, below)
			continue
		}
		into[name] = value
	}
}
