// Package health tells whether an object has reached its spec.
//
// A Verdict is a status word and a message. The rules are those of kstatus
// (sigs.k8s.io/cli-utils, "kstatus" in its documentation); rules.go has what is
// different here, and why. Nothing here asks a cluster or a clock: equal objects
// have equal verdicts, and messages hold no times and no counters, so that one
// which is shown in a condition changes only when the trouble does.
package health

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Status is one word of kstatus.
type Status string

// The statuses that an object can have.
const (
	Current     Status = "Current"     // as its spec says
	InProgress  Status = "InProgress"  // on its way there
	Failed      Status = "Failed"      // will not get there without a change
	Terminating Status = "Terminating" // marked for deletion
	NotFound    Status = "NotFound"    // there is no object
	Unknown     Status = "Unknown"     // its status can't be understood
)

// Verdict is what is to be said about one object. It can be compared with ==.
type Verdict struct {
	Status  Status
	Message string // one sentence without the name of the object
}

// Of judges obj as the API server returned it, status included. A nil obj is
// NotFound. It never fails: an object of an unexpected form is Unknown.
func Of(obj *unstructured.Unstructured) (v Verdict) {
	if obj == nil {
		return Verdict{NotFound, "Resource not found"}
	}
	// kstatus asserts types of fields below status without checking them, and
	// custom resources may hold anything there.
	defer func() {
		if recover() != nil {
			v = Verdict{Unknown, "Resource status has an unexpected form"}
		}
	}()
	res, err := status.Compute(obj)
	if err != nil {
		return Verdict{Unknown, fmt.Sprintf("Resource status has an unexpected form: %v", err)}
	}
	v = Verdict{Status(res.Status), message(res)}
	if v.Status == Terminating || reason(res) == "LatestGenerationNotObserved" {
		return v
	}
	if rule := rules[obj.GroupVersionKind().GroupKind()]; rule != nil {
		return rule(obj, v)
	}
	return custom(obj, v)
}

// texts are our words for those reasons of kstatus whose messages count.
var texts = map[string]string{
	"LessReplicas":                "Not all replicas have been created",
	"LessUpdated":                 "Not all replicas have been updated",
	"LessReady":                   "Not all replicas are ready",
	"LessAvailable":               "Not all replicas are available",
	"LessCurrent":                 "Not all replicas are at the current revision",
	"LessLabelled":                "Not all replicas have their labels",
	"ExtraPods":                   "Old replicas are pending termination",
	"PartitionRollout":            "Not all replicas of the partition have been updated",
	"LatestGenerationNotObserved": "The latest generation has not been observed yet",
}

// count is how kstatus counts behind a message that says all there is to say.
var count = regexp.MustCompile(`\.? (Replicas|updated): \d+$`)

func message(res *status.Result) string {
	if text, ok := texts[reason(res)]; ok {
		return text
	}
	if res.Message == "" {
		return reason(res)
	}
	return count.ReplaceAllString(res.Message, "")
}

// reason is the machine-readable word that kstatus has for a result which is
// not Current.
func reason(res *status.Result) string {
	if len(res.Conditions) == 0 {
		return ""
	}
	return res.Conditions[0].Reason
}
