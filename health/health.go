// Package health tells whether an object has reached what its spec asks for.
//
// The rules are those of kstatus (sigs.k8s.io/cli-utils), which clients of the
// Kubernetes API agree on. Everything here is pure.
package health

import (
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Status is how far an object came.
type Status string

// The statuses.
const (
	Current     Status = "Current"
	InProgress  Status = "InProgress"
	Failed      Status = "Failed"
	Terminating Status = "Terminating"
	NotFound    Status = "NotFound"
	Unknown     Status = "Unknown"
)

// Verdict is a status and why. The message is stable: it does not change while
// the trouble is the same.
type Verdict struct {
	Status  Status
	Message string
}

// Of judges an object by its status.
func Of(obj *unstructured.Unstructured) Verdict {
	if unseen(obj) {
		return Verdict{InProgress, "its controller has not seen it yet"}
	}
	result, err := status.Compute(obj)
	if err != nil {
		return Verdict{Unknown, "its status cannot be read: " + err.Error()}
	}
	v := Verdict{Status: Status(result.Status), Message: stable(result.Message)}
	if v.Status == Current {
		v.Message = "" // thousands of records need no praise
	}
	return v
}

// unseen is an object that declares by its CRD's default that no controller has
// looked at it.
func unseen(obj *unstructured.Unstructured) bool {
	observed, found, err := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
	return found && err == nil && observed < 0
}

// counts are the figures in kstatus' messages, which move while a rollout goes on.
var counts = regexp.MustCompile(`:? \d+/\d+`)

func stable(message string) string { return counts.ReplaceAllString(message, "") }
