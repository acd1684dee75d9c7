package flags

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/api/meta"
)

// Whole is the plan for a configuration that is described completely, by a file and not by
// flags, with its protected parameters.
func Whole(name, namespace string, spec clusterconfigv1.FluxConfigSpec, protected map[string][]byte) (*Plan, error) {
	if err := CheckNames(name, namespace); err != nil {
		return nil, err
	}
	spec.Scope = cmp.Or(spec.Scope, clusterconfigv1.ScopeCluster)
	spec.SourceKind = cmp.Or(spec.SourceKind, clusterconfigv1.GitRepositorySource)
	if len(protected) > 0 {
		spec.ProtectedParametersSecretRef = &meta.LocalObjectReference{Name: ProtectedName(name)}
	}
	fc := &clusterconfigv1.FluxConfig{
		TypeMeta:   metav1.TypeMeta{APIVersion: clusterconfigv1.GroupVersion.String(), Kind: clusterconfigv1.FluxConfigKind},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       spec,
	}
	return &Plan{Object: fc, Protected: protected}, check(fc, protected)
}
