package live

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
)

// User is who has objects on a cluster or follows some by name: a unit, or a
// source.
type User struct {
	Kind string
	types.NamespacedName
}

// ownership is how the objects of one kind of unit are told from others.
type ownership struct {
	name, namespace string // labels that name the owner
	manager         string // its field manager
	updates         bool   // it also writes client-side
	frozen          string // label or annotation that forbids to reconcile the object
	keep            string // annotation that forbids to delete it
	keepValue       string
}

// ownerKinds are the kinds of units that have objects.
var ownerKinds = []string{kustomizev1.KustomizationKind, helmv2.HelmReleaseKind}

var ownerships = map[string]ownership{
	kustomizev1.KustomizationKind: {
		name: kustomizev1.NameLabel, namespace: kustomizev1.NamespaceLabel, manager: kustomizev1.FieldManager,
		frozen: kustomizev1.ReconcileAnnotation, keep: kustomizev1.PruneAnnotation, keepValue: kustomizev1.DisabledValue,
	},
	helmv2.HelmReleaseKind: {
		name: helmv2.NameLabel, namespace: helmv2.NamespaceLabel, manager: helmv2.FieldManager, updates: true,
		frozen: helmv2.DriftDetectionAnnotation, keep: "helm.sh/resource-policy", keepValue: "keep",
	},
}

// Manager is the field manager under which the objects of such a user are written,
// "" for one that has none.
func (u User) Manager() string { return ownerships[u.Kind].manager }

// Labels are those by which an object is known as the user's; nil for one that has
// no objects.
func (u User) Labels() map[string]string {
	o, ok := ownerships[u.Kind]
	if !ok {
		return nil
	}
	return map[string]string{o.name: u.Name, o.namespace: u.Namespace}
}

// Owner is the user of a kind that the labels of an object name; zero without
// such labels. One object may carry the labels of several kinds.
func Owner(kind string, obj *unstructured.Unstructured) User {
	o, labels := ownerships[kind], obj.GetLabels()
	name := types.NamespacedName{Namespace: labels[o.namespace], Name: labels[o.name]}
	if name == (types.NamespacedName{}) {
		return User{}
	}
	return User{Kind: kind, NamespacedName: name}
}

// owned hashes the fields that the field manager of the kind holds.
func (o ownership) owned(obj *unstructured.Unstructured) drift.Hash {
	if o.updates {
		return drift.OwnedBy(obj, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == o.manager && e.Subresource == "" })
	}
	return drift.Owned(obj, o.manager)
}

// alone tells whether the field manager of the kind holds all fields that anybody holds,
// those of the status aside.
func (o ownership) alone(obj *unstructured.Unstructured) bool {
	return !slices.ContainsFunc(obj.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		ours := e.Manager == o.manager && (o.updates || e.Operation == metav1.ManagedFieldsOperationApply)
		return !ours && e.Subresource != "status"
	})
}

// says tells whether a label or an annotation of that name has the value.
func says(obj *unstructured.Unstructured, name, value string) bool {
	return strings.EqualFold(obj.GetLabels()[name], value) || strings.EqualFold(obj.GetAnnotations()[name], value)
}
