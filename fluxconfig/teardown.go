package fluxconfig

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// Next are those of some objects that can be deleted now: the Kustomizations that
// no other of them depends on, each of which takes along what it applied; when
// there are none, the sources; and when those are gone too, the rest.
func Next(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	var units, sources, rest []*unstructured.Unstructured
	needed := map[string]bool{}
	for _, obj := range objects {
		switch obj.GetKind() {
		case "Kustomization":
			units = append(units, obj)
			for _, name := range needs(obj) {
				needed[name] = true
			}
		case "GitRepository", "Bucket", "OCIRepository":
			sources = append(sources, obj)
		default:
			rest = append(rest, obj)
		}
	}
	var free []*unstructured.Unstructured
	for _, unit := range units {
		if !needed[unit.GetName()] {
			free = append(free, unit)
		}
	}
	switch {
	case len(free) > 0:
		return free
	case len(units) > 0:
		return units // a cycle that somebody made: there is no order to keep
	case len(sources) > 0:
		return sources
	default:
		return rest
	}
}

// DeletionPolicy is the policy that a Kustomization is to have before it is deleted,
// "" for the one that it has: by force what it applied stays; else one that prunes
// waits for that to be gone, which is what an order is good for.
func DeletionPolicy(unit *unstructured.Unstructured, forced bool) string {
	policy, _, _ := unstructured.NestedString(unit.Object, "spec", "deletionPolicy")
	prunes, _, _ := unstructured.NestedBool(unit.Object, "spec", "prune")
	suspended, _, _ := unstructured.NestedBool(unit.Object, "spec", "suspend")
	switch {
	case unit.GetKind() != kustomizev1.KustomizationKind:
		return ""
	case forced && policy != kustomizev1.DeletionPolicyOrphan:
		return kustomizev1.DeletionPolicyOrphan
	case !forced && prunes && !suspended && (policy == "" || policy == kustomizev1.DeletionPolicyMirrorPrune):
		return kustomizev1.DeletionPolicyWaitForTermination
	default:
		return ""
	}
}

// needs are the names of the Kustomizations that one depends on.
func needs(unit *unstructured.Unstructured) (out []string) {
	list, _, _ := unstructured.NestedSlice(unit.Object, "spec", "dependsOn") // the API server has checked its form
	for _, entry := range list {
		if fields, ok := entry.(map[string]any); ok {
			if name, ok := fields["name"].(string); ok {
				out = append(out, name)
			}
		}
	}
	return out
}

// Left are those of present that are not in wanted.
func Left(present, wanted []*unstructured.Unstructured) (out []*unstructured.Unstructured) {
	kept := make(map[string]bool, len(wanted))
	for _, obj := range wanted {
		kept[obj.GetKind()+"/"+obj.GetName()] = true
	}
	for _, obj := range present {
		if !kept[obj.GetKind()+"/"+obj.GetName()] {
			out = append(out, obj)
		}
	}
	return out
}
