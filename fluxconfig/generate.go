// Package fluxconfig tells what a FluxConfig stands for, in which order that is
// taken down, and what came of it. It decides and touches nothing.
package fluxconfig

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// Inputs are what a configuration is generated from beside itself.
type Inputs struct {
	// Protected is the data of the Secret that protectedParametersSecretRef names.
	Protected map[string][]byte
	// Key is the key pair that was made for this configuration (see NeedsKey), in
	// PEM; nil while there is none.
	Key []byte
}

// Names of what is generated beside the source and the Kustomizations.
const (
	Applier     = "flux-applier"         // account, and Role with all rights in its namespace
	Binding     = "flux-applier-binding" // of the account to its rights
	KeyEntry    = "identity"             // key of a Secret: the private half
	PublicEntry = "identity.pub"         // key of a Secret: the public half
)

// AuthName is the name of the Secret with the credentials of the source.
func AuthName(fc *clusterconfigv1.FluxConfig) string { return fc.Name + "-auth" }

// KeyName is the name of the Secret with the key pair that was made.
func KeyName(fc *clusterconfigv1.FluxConfig) string { return fc.Name + "-generated-key" }

// Generate returns the objects that a configuration stands for, each after what
// it refers to. An error says what of the spec, or of the protected parameters,
// can't be right; it has no secret in it.
func Generate(fc *clusterconfigv1.FluxConfig, in Inputs) ([]*unstructured.Unstructured, error) {
	ordered, err := order(fc)
	if err != nil {
		return nil, err
	}
	g := &generation{fc: fc, in: in}
	source, err := g.source()
	if err != nil {
		return nil, err
	}
	objects := append(g.shared(), g.beside...)
	objects = append(objects, source)
	for _, k := range ordered {
		made, err := g.kustomization(k, source)
		if err != nil {
			return nil, err
		}
		objects = append(objects, made...)
	}
	return objects, nil
}

// generation is the work on one configuration.
type generation struct {
	fc     *clusterconfigv1.FluxConfig
	in     Inputs
	beside []*unstructured.Unstructured // what the source refers to
}

// object is an object of the configuration alone.
func (g *generation) object(apiVersion, kind, name string) *unstructured.Unstructured {
	out := g.plain(apiVersion, kind, name)
	labels := out.GetLabels()
	labels[clusterconfigv1.NameLabel] = g.fc.Name
	labels[clusterconfigv1.NamespaceLabel] = g.fc.Namespace
	if g.fc.Spec.OperationID != "" {
		labels[clusterconfigv1.OperationIDLabel] = g.fc.Spec.OperationID
	}
	out.SetLabels(labels)
	out.SetAnnotations(map[string]string{clusterconfigv1.GenerationAnnotation: strconv.FormatInt(g.fc.Generation, 10)})
	return out
}

// plain is an object that other configurations may stand for as well.
func (g *generation) plain(apiVersion, kind, name string) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	out.SetAPIVersion(apiVersion)
	out.SetKind(kind)
	out.SetNamespace(g.fc.Namespace)
	out.SetName(name)
	out.SetLabels(map[string]string{clusterconfigv1.ManagedLabel: "true"})
	return out
}

// Owner are the labels of everything that belongs to a configuration alone.
func Owner(fc *clusterconfigv1.FluxConfig) map[string]string {
	return map[string]string{
		clusterconfigv1.ManagedLabel: "true", clusterconfigv1.NameLabel: fc.Name, clusterconfigv1.NamespaceLabel: fc.Namespace,
	}
}

// secret is a Secret that goes with the configuration, even when nobody is there
// to take it down: it has an owner.
func (g *generation) secret(name string, data map[string][]byte) *unstructured.Unstructured {
	out := g.object("v1", "Secret", name)
	encoded := make(map[string]any, len(data))
	for key, value := range data {
		encoded[key] = encode(value)
	}
	out.Object["type"] = "Opaque"
	out.Object["data"] = encoded
	out.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{ //nolint:forcetypeassert // object has just made it
		"apiVersion": clusterconfigv1.GroupVersion.String(), "kind": clusterconfigv1.FluxConfigKind,
		"name": g.fc.Name, "uid": string(g.fc.UID),
	}}
	return out
}

func (g *generation) invalid(format string, args ...any) error {
	return fmt.Errorf("FluxConfig/%s/%s: %w", g.fc.Namespace, g.fc.Name, fmt.Errorf(format, args...))
}
