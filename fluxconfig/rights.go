package fluxconfig

import (
	"cmp"
	"slices"

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

// Refusal is why a configuration may not be put into effect beside others, those of
// its namespace; nil if it may. The account is shared, and whoever has all rights in a
// namespace can act as each of its accounts: two scopes in one namespace are one, the
// wider. So the one that came first stays what it is.
func Refusal(fc *clusterconfigv1.FluxConfig, others []clusterconfigv1.FluxConfig) error {
	consents := func(fc *clusterconfigv1.FluxConfig) bool {
		return fc.Annotations[clusterconfigv1.MixedScopesAnnotation] == "true"
	}
	if consents(fc) {
		return nil
	}
	in := map[string]*clusterconfigv1.FluxConfig{} // who is in effect before it, one of each scope
	for _, other := range earlier(fc, others) {
		if opponent := in[opposite(other)]; in[other.Spec.Scope] == nil && (opponent == nil || consents(other)) {
			in[other.Spec.Scope] = other
		}
	}
	other := in[opposite(fc)]
	if other == nil {
		return nil
	}
	return (&generation{fc: fc}).invalid("its scope is %s, and that of FluxConfig/%s in the same namespace is %s: both act as ServiceAccount/%s, so that they would have the same rights; "+
		"put them into different namespaces, or accept that by setting the annotation %s to \"true\"", fc.Spec.Scope, other.Name, other.Spec.Scope, Applier, clusterconfigv1.MixedScopesAnnotation)
}

func opposite(fc *clusterconfigv1.FluxConfig) string {
	if fc.Spec.Scope == clusterconfigv1.ScopeNamespace {
		return clusterconfigv1.ScopeCluster
	}
	return clusterconfigv1.ScopeNamespace
}

// earlier are those that share a configuration's account and come before it, in order.
func earlier(fc *clusterconfigv1.FluxConfig, others []clusterconfigv1.FluxConfig) (out []*clusterconfigv1.FluxConfig) {
	for i := range others {
		if beside(fc, &others[i]) && first(&others[i], fc) < 0 {
			out = append(out, &others[i])
		}
	}
	slices.SortFunc(out, first)
	return out
}

// beside tells whether another configuration shares the account: one that is being
// deleted does until it is taken down.
func beside(fc, other *clusterconfigv1.FluxConfig) bool {
	return other.Namespace == fc.Namespace && other.Name != fc.Name &&
		(other.DeletionTimestamp == nil || slices.Contains(other.Finalizers, clusterconfigv1.Finalizer))
}

// first is negative if a was put into effect before b, or will be: who was already
// comes before who was not.
func first(a, b *clusterconfigv1.FluxConfig) int {
	was := func(fc *clusterconfigv1.FluxConfig) int {
		if fc.Status.LastConfigUpdateTime == nil {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(was(a), was(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// Unneeded are the shared objects that a configuration needs and none of others
// does that share them: they go with it, the rights before the account.
func Unneeded(fc *clusterconfigv1.FluxConfig, others []clusterconfigv1.FluxConfig) []*unstructured.Unstructured {
	needed := map[string]bool{}
	for i := range others {
		if other := &others[i]; beside(fc, other) && Refusal(other, others) == nil {
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
