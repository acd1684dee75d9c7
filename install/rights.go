package install

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/plumb-gitops/plumb/fluxconfig"
	"github.com/plumb-gitops/plumb/settings"
)

// The groups of our kinds.
const (
	sources        = "source.toolkit.fluxcd.io"
	kustomizations = "kustomize.toolkit.fluxcd.io"
	releases       = "helm.toolkit.fluxcd.io"
	configurations = "clusterconfig.azure.com"
	toolkitKinds   = "*"
)

// EngineRules are what the engine does as itself, wherever it acts as an account
// for its units: it reads, writes its own kinds, tells events, and makes what a
// FluxConfig stands for. Workloads are written as the account, and by its rights.
// A test lets an engine work with exactly these, and with each of them taken away.
func EngineRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		// A unit may hold any kind, and its spec may name Secrets and ConfigMaps of
		// any namespace; all are watched, so that nothing has to be polled.
		{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}},
		// What a FluxConfig or a HelmRelease generates.
		{APIGroups: []string{sources}, Resources: []string{"gitrepositories", "buckets", "ocirepositories", "helmcharts"}, Verbs: []string{"create", "patch", "delete"}},
		{APIGroups: []string{kustomizations}, Resources: []string{"kustomizations"}, Verbs: []string{"create", "patch", "delete"}},
		// Finalizers.
		{APIGroups: []string{sources}, Resources: []string{"helmrepositories"}, Verbs: []string{"patch"}},
		{APIGroups: []string{releases}, Resources: []string{"helmreleases"}, Verbs: []string{"patch"}},
		{APIGroups: []string{configurations}, Resources: []string{"fluxconfigs"}, Verbs: []string{"patch"}},
		{APIGroups: []string{sources}, Resources: []string{
			"gitrepositories/status", "buckets/status", "ocirepositories/status", "helmrepositories/status", "helmcharts/status",
		}, Verbs: []string{"patch"}},
		{APIGroups: []string{kustomizations}, Resources: []string{"kustomizations/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{releases}, Resources: []string{"helmreleases/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{configurations}, Resources: []string{"fluxconfigs/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create"}},
		// Credentials and the key pair of a FluxConfig, and the accounts that it needs.
		{APIGroups: []string{""}, Resources: []string{"secrets", "serviceaccounts"}, Verbs: []string{"create", "patch", "delete"}},
		// Inventories that are too large for a status.
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create", "delete"}},
		// Whom units act as.
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate"}},
		// Tokens of accounts that clouds and other clusters trust.
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
		// The rights of a FluxConfig's account, which may exceed the engine's own.
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, ResourceNames: []string{fluxconfig.Applier}, Verbs: []string{"create", "patch", "delete", "escalate", "bind"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, ResourceNames: []string{fluxconfig.Binding}, Verbs: []string{"create", "patch", "delete"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterrolebindings"}, Verbs: []string{"create", "patch", "delete"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, ResourceNames: []string{"cluster-admin"}, Verbs: []string{"bind"}},
	}
}

// LeaseRules are for the lease that makes sure of one engine per cluster. The name
// of what is created is not known to the server when it asks for the right.
func LeaseRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{Lease}, Verbs: []string{"update"}},
	}
}

// ShardRules are for the leases by which several engines share the work, in the
// namespace of the installation: each has one of its own, whose name nobody knows
// before, so they cannot be named. Engines read all leases as they read everything.
func ShardRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create", "update", "delete"}},
	}
}

// rights are the roles and their bindings.
func rights(o Options, s settings.Settings) []runtime.Object {
	out := []runtime.Object{
		clusterRole(o, "engine", EngineRules()),
		clusterBinding(o, "engine", o.clusterName("engine")),
	}
	out = append(out, role(o, o.LeaseNamespace, "lease", LeaseRules())...)
	if o.Shards > 0 {
		out = append(out, role(o, o.Namespace, "shards", ShardRules())...)
	}
	if s.Account() == "" {
		// Units that name no account act as the engine, whatever they hold.
		out = append(out, clusterBinding(o, "cluster-admin", "cluster-admin"))
	}
	return append(out, userRoles(o, s)...)
}

// userRoles extend the roles view, edit and admin of every Kubernetes by our kinds.
// Who may write a unit acts as whom that names. Where that is an account of its own
// namespace, edit gives no more than it does already; where it is the engine, it
// would give the whole cluster, and so does a FluxConfig with scope cluster.
func userRoles(o Options, s settings.Settings) []runtime.Object {
	ours := func(verbs ...string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{sources, kustomizations, releases}, Resources: []string{toolkitKinds}, Verbs: verbs}}
	}
	configs := func(verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{configurations}, Resources: []string{"fluxconfigs"}, Verbs: verbs}
	}
	write := []string{"create", "delete", "deletecollection", "patch", "update"}
	view := clusterRole(o, "view", append(ours("get", "list", "watch"), configs("get", "list", "watch")))
	edit := clusterRole(o, "edit", ours(write...))
	for _, role := range []string{"view", "edit", "admin"} {
		view.Labels["rbac.authorization.k8s.io/aggregate-to-"+role] = "true"
	}
	if s.Account() != "" {
		edit.Labels["rbac.authorization.k8s.io/aggregate-to-edit"] = "true"
		edit.Labels["rbac.authorization.k8s.io/aggregate-to-admin"] = "true"
	}
	return []runtime.Object{view, edit, clusterRole(o, "fluxconfig-edit", []rbacv1.PolicyRule{configs(write...)})}
}

func rbacType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

func clusterRole(o Options, what string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{TypeMeta: rbacType("ClusterRole"), ObjectMeta: o.placed("", o.clusterName(what)), Rules: rules}
}

// role is a role in a namespace, and the engine's binding to it.
func role(o Options, namespace, what string, rules []rbacv1.PolicyRule) []runtime.Object {
	name := o.clusterName(what)
	return []runtime.Object{
		&rbacv1.Role{TypeMeta: rbacType("Role"), ObjectMeta: o.placed(namespace, name), Rules: rules},
		&rbacv1.RoleBinding{
			TypeMeta: rbacType("RoleBinding"), ObjectMeta: o.placed(namespace, name),
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}, Subjects: o.subjects(),
		},
	}
}

func clusterBinding(o Options, what, role string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta: rbacType("ClusterRoleBinding"), ObjectMeta: o.placed("", o.clusterName(what)),
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: o.subjects(),
	}
}

func (o Options) subjects() []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: Name, Namespace: o.Namespace}}
}

// placed is the metadata of an object; namespace is "" for none.
func (o Options) placed(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: Labels(o.Namespace)}
}
