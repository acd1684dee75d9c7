package fluxconfig

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

const rbac = "rbac.authorization.k8s.io"

// shared are the account that everything is applied with, and its rights. All
// configurations of the namespace share them, so they have no owner.
func (g *generation) shared() []*unstructured.Unstructured {
	account := g.plain("v1", "ServiceAccount", Applier)
	if g.fc.Spec.Scope == clusterconfigv1.ScopeNamespace {
		role := g.plain(rbac+"/v1", "Role", Applier)
		role.Object["rules"] = []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}
		return []*unstructured.Unstructured{account, role, g.binding("RoleBinding", Binding, "Role", Applier)}
	}
	binding := g.binding("ClusterRoleBinding", ClusterBinding(g.fc.Namespace), "ClusterRole", "cluster-admin")
	binding.SetNamespace("")
	return []*unstructured.Unstructured{account, binding}
}

// ClusterBinding is the name of the ClusterRoleBinding of a namespace's account.
func ClusterBinding(namespace string) string { return Binding + "-" + namespace }

func (g *generation) binding(kind, name, roleKind, role string) *unstructured.Unstructured {
	out := g.plain(rbac+"/v1", kind, name)
	out.Object["roleRef"] = map[string]any{"apiGroup": rbac, "kind": roleKind, "name": role}
	out.Object["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": Applier, "namespace": g.fc.Namespace}}
	return out
}

// Unneeded are the shared objects that a configuration needs and none of others,
// the other configurations of its namespace, does: they go with it, the rights
// before the account.
func Unneeded(fc *clusterconfigv1.FluxConfig, others []clusterconfigv1.FluxConfig) []*unstructured.Unstructured {
	needed := map[string]bool{}
	for i := range others {
		if other := &others[i]; other.Namespace == fc.Namespace && other.Name != fc.Name && other.DeletionTimestamp == nil {
			for _, obj := range (&generation{fc: other}).shared() {
				needed[obj.GetKind()] = true
			}
		}
	}
	var out []*unstructured.Unstructured
	for _, obj := range (&generation{fc: fc}).shared() {
		if !needed[obj.GetKind()] {
			out = append([]*unstructured.Unstructured{obj}, out...)
		}
	}
	return out
}

// identity is an account with a workload identity, and its name. One that the
// spec names belongs to whoever made it: it gets the identity, and no owner.
func (g *generation) identity(who *clusterconfigv1.ObjectLevelIdentity, fallback string) string {
	name := who.ServiceAccountName
	account := g.plain("v1", "ServiceAccount", name)
	account.SetLabels(nil)
	if name == "" {
		name = fallback
		account = g.object("v1", "ServiceAccount", name)
	}
	annotations := account.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["azure.workload.identity/client-id"] = who.ClientID
	if who.TenantID != "" {
		annotations["azure.workload.identity/tenant-id"] = who.TenantID
	}
	account.SetAnnotations(annotations)
	g.beside = append(g.beside, account)
	return name
}
