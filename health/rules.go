package health

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// rules correct the verdict of kstatus for one kind each.
var rules = map[schema.GroupKind]func(*unstructured.Unstructured, Verdict) Verdict{
	{Group: "batch", Kind: "Job"}:                         job,
	{Kind: "Pod"}:                                         pod,
	{Kind: "PersistentVolumeClaim"}:                       claim,
	{Group: "apiregistration.k8s.io", Kind: "APIService"}: apiService,
}

// job: kstatus calls a Job current as soon as it runs. Who waits for a Job (a
// migration before the application) waits for its end; so does the toolkit.
func job(obj *unstructured.Unstructured, v Verdict) Verdict {
	if failed, ok := condition(obj, "Failed"); ok && failed.Status == "True" {
		return Verdict{Failed, sentence("Job failed", failed.Reason, failed.Message)}
	}
	if complete, ok := condition(obj, "Complete"); ok && complete.Status == "True" {
		return Verdict{Current, "Job completed"}
	}
	if suspended, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend"); suspended {
		return Verdict{InProgress, "Job is suspended"}
	}
	if v.Status == Current {
		return Verdict{InProgress, "Job is running"}
	}
	return v
}

// pod: kstatus calls a Pod current that ended without success, and one that
// can't be scheduled failed after 15 seconds by the clock, although an
// autoscaler may be about to help.
func pod(obj *unstructured.Unstructured, v Verdict) Verdict {
	phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase")
	scheduled, _ := condition(obj, "PodScheduled")
	switch {
	case phase == "Failed":
		why, _, _ := unstructured.NestedString(obj.Object, "status", "reason")
		return Verdict{Failed, sentence("Pod failed", why)}
	case phase == "Pending" && scheduled.Status == "False" && scheduled.Reason == "Unschedulable":
		return Verdict{InProgress, "Pod can't be scheduled"}
	}
	if names, ok := strings.CutPrefix(v.Message, crashing); ok {
		sorted := strings.Split(names, ",")
		slices.Sort(sorted)
		v.Message = crashing + strings.Join(sorted, ", ")
	}
	return v
}

// crashing begins the message of kstatus before the containers, in the order of
// the status.
const crashing = "Containers in CrashLoop state: "

// claim: a volume that is lost doesn't come back.
func claim(obj *unstructured.Unstructured, v Verdict) Verdict {
	if phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase"); phase == "Lost" {
		return Verdict{Failed, "PVC has lost its volume"}
	}
	return v
}

// apiService: kstatus knows no APIService, and calls every one current. Until it
// is available, the cluster does not serve its kinds.
func apiService(obj *unstructured.Unstructured, v Verdict) Verdict {
	available, ok := condition(obj, "Available")
	switch {
	case v.Status != Current || ok && available.Status == "True":
		return v
	case !ok:
		return Verdict{InProgress, "API service has not been checked yet"}
	default:
		return Verdict{InProgress, sentence("API service is not available", available.Reason)}
	}
}

// custom is for every other kind: it looks closer at the Ready condition.
//
//   - One that was set for an earlier generation says nothing about this one.
//     Many controllers tell the generation in the condition only.
//   - The controllers of the toolkit go on with Reconciling while they retry; why
//     they have to is in Ready.
func custom(obj *unstructured.Unstructured, v Verdict) Verdict {
	ready, ok := condition(obj, "Ready")
	if !ok || v.Status == Failed {
		return v
	}
	if ready.ObservedGeneration != 0 && ready.ObservedGeneration < obj.GetGeneration() {
		return Verdict{InProgress, texts["LatestGenerationNotObserved"]}
	}
	if v.Status == InProgress && ready.Status == "False" && ready.Message != "" {
		return Verdict{InProgress, ready.Message}
	}
	return v
}

// fact is a condition as the API conventions have it.
type fact struct {
	Status, Reason, Message string
	ObservedGeneration      int64
}

// condition finds a condition by its type. It copies nothing.
func condition(obj *unstructured.Unstructured, kind string) (fact, bool) {
	field, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "status", "conditions")
	conditions, _ := field.([]any)
	for _, item := range conditions {
		if c, ok := item.(map[string]any); ok && c["type"] == kind {
			generation, _, _ := unstructured.NestedInt64(c, "observedGeneration")
			return fact{text(c, "status"), text(c, "reason"), text(c, "message"), generation}, true
		}
	}
	return fact{}, false
}

func text(c map[string]any, field string) string {
	s, _ := c[field].(string)
	return s
}

// sentence joins the parts that are there: "Job failed: Reason: message".
func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}
