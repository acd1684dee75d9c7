package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// cliManager is the field manager of what the command line itself applies.
const cliManager = "plumb-cli"

// readManifests reads the YAML or JSON objects of files and folders; "-" is
// standard input.
func readManifests(paths []string, in io.Reader) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, path := range paths {
		if path == "-" {
			objs, err := decode("standard input", in)
			if err != nil {
				return nil, err
			}
			out = append(out, objs...)
			continue
		}
		err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || (file != path && !isManifest(file)) {
				return err
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			objs, err := decode(file, bytes.NewReader(raw))
			out = append(out, objs...)
			return err
		})
		if err != nil {
			return nil, usage(err)
		}
	}
	return out, nil
}

func isManifest(file string) bool {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".yaml", ".yml", ".json":
		return true
	default:
		return false
	}
}

func decode(name string, r io.Reader) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(r, 4096)
	for {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, usage(fmt.Errorf("%s: %w", name, err))
		}
		if len(obj.Object) == 0 {
			continue
		}
		if obj.GetKind() == "" || obj.GetName() == "" {
			return nil, usage(fmt.Errorf("%s: an object without kind or metadata.name", name))
		}
		out = append(out, obj)
	}
}

// applyObjects applies objects as the command line's own, definitions first.
// Fields that the API does not know are refused.
func applyObjects(ctx context.Context, cluster *kube.Cluster, objs []*unstructured.Unstructured, defaultNamespace string) error {
	for stage := range kube.Stages {
		for _, obj := range objs {
			if kube.Stage(obj.GroupVersionKind().GroupKind()) != stage {
				continue
			}
			if err := settle(cluster, obj, defaultNamespace); err != nil {
				return err
			}
			if _, err := cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: cliManager}); err != nil {
				return fmt.Errorf("%s: %w", kube.KeyOf(obj), plain(err))
			}
		}
	}
	return nil
}

// settle gives a namespaced object a namespace.
func settle(cluster *kube.Cluster, obj *unstructured.Unstructured, defaultNamespace string) error {
	mapping, err := cluster.Mapping(obj.GroupVersionKind())
	if err != nil {
		return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace && obj.GetNamespace() == "" {
		obj.SetNamespace(defaultNamespace)
	}
	return nil
}

// plain takes the boilerplate off what the API server says of an unknown field.
func plain(err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && apierrors.IsBadRequest(err) {
		return errors.New(status.Status().Message)
	}
	return err
}
