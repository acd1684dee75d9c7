package apply

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/live"
)

// Values of the annotations, which may be labels too, with which an object steers how
// it is applied. They are read without regard to case.
const (
	policyMerge        = "Merge"        // what others added stays, kubectl included
	policyIfNotPresent = "IfNotPresent" // create it, and leave it alone as long as it exists
	policyIgnore       = "Ignore"       // don't apply it
)

// says tells whether a label or an annotation of that name has the value.
func says(obj *unstructured.Unstructured, name, value string) bool {
	return obj != nil && (strings.EqualFold(obj.GetLabels()[name], value) || strings.EqualFold(obj.GetAnnotations()[name], value))
}

// forced tells whether the object itself asks to be recreated.
func forced(obj *unstructured.Unstructured) bool {
	return says(obj, kustomizev1.ForceAnnotation, kustomizev1.EnabledValue)
}

// frozen tells whether the object, as we want it or as it is, asks to be left alone.
func frozen(obj *unstructured.Unstructured, r live.Record) bool {
	return r.Frozen || says(obj, kustomizev1.ReconcileAnnotation, kustomizev1.DisabledValue)
}

// excused is why an object is not applied, by what it says of itself, "" when
// nothing excuses it. exists tells whether it is on the cluster.
func excused(obj *unstructured.Unstructured, exists bool) string {
	switch {
	case says(obj, kustomizev1.ReconcileAnnotation, kustomizev1.DisabledValue):
		return kustomizev1.ReconcileAnnotation + " is disabled"
	case says(obj, kustomizev1.PolicyAnnotation, policyIgnore):
		return kustomizev1.PolicyAnnotation + " is " + policyIgnore
	case exists && says(obj, kustomizev1.PolicyAnnotation, policyIfNotPresent):
		return "it exists and " + kustomizev1.PolicyAnnotation + " is " + policyIfNotPresent
	default:
		return ""
	}
}

// precious are kinds that take everything in them along. spec.force, which is
// meant for Jobs and the like, does not recreate them; their own annotation does.
var precious = map[schema.GroupKind]bool{
	{Kind: "Namespace"}: true,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true,
}

// mayRecreate tells whether an object may be deleted for a field that cannot be
// changed in place.
func mayRecreate(obj *unstructured.Unstructured, force bool) bool {
	return forced(obj) || force && !precious[obj.GroupVersionKind().GroupKind()]
}

// expires tells whether the cluster removes the object by itself once it is
// done. That is no drift: to make it again would run it again, for ever.
func expires(obj *unstructured.Unstructured) bool {
	if obj.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "batch", Kind: "Job"}) {
		return false
	}
	_, found, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "ttlSecondsAfterFinished")
	return found
}

// The same, for objects that do steer how they are applied.

func (p *planning) says(obj *unstructured.Unstructured, name, value string) bool {
	return p.steered && says(obj, name, value)
}

func (p *planning) frozen(obj *unstructured.Unstructured, r live.Record) bool {
	return p.steered && frozen(obj, r)
}

func (p *planning) excused(obj *unstructured.Unstructured, exists bool) string {
	if !p.steered {
		return ""
	}
	return excused(obj, exists)
}

func (p *planning) mayRecreate(obj *unstructured.Unstructured) bool {
	if !p.steered {
		return p.req.Force && !precious[obj.GroupVersionKind().GroupKind()]
	}
	return mayRecreate(obj, p.req.Force)
}
