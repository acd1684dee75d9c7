package explain

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// Event is something that was said about an object, and how often.
type Event struct {
	Object  string    `json:"object"`
	Type    string    `json:"type"` // Normal or Warning
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int       `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	By      string    `json:"by,omitempty"` // who said it

	About object.ObjMetadata `json:"-"` // the object
}

// EventOf reads an event. The API server shows those of events.k8s.io/v1 as core/v1
// too, with their own fields for the time and the count
// (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1).
func EventOf(obj *unstructured.Unstructured) (Event, error) {
	raw := corev1.Event{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &raw); err != nil {
		return Event{}, err
	}
	about := raw.InvolvedObject
	e := Event{
		Type: raw.Type, Reason: raw.Reason, Message: raw.Message, Count: max(1, int(raw.Count)),
		By:    cmp.Or(raw.ReportingController, raw.Source.Component),
		About: object.ObjMetadata{Namespace: about.Namespace, Name: about.Name, GroupKind: schema.FromAPIVersionAndKind(about.APIVersion, about.Kind).GroupKind()},
	}
	e.Object = kube.Key{ObjMetadata: e.About}.String()
	e.First = firstOf(raw.FirstTimestamp.Time, raw.EventTime.Time, raw.CreationTimestamp.Time)
	e.Last = firstOf(raw.LastTimestamp.Time, raw.EventTime.Time, e.First)
	if raw.Series != nil {
		e.Count, e.Last = max(e.Count, int(raw.Series.Count)), firstOf(raw.Series.LastObservedTime.Time, e.Last)
	}
	return e, nil
}

// firstOf is the first time that is set.
func firstOf(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// Merge puts events that say the same of an object into one, and sorts them by when
// they were last seen, the newest last.
func Merge(events []Event) []Event {
	type saying struct {
		about                 object.ObjMetadata
		kind, reason, message string
	}
	at := map[saying]int{}
	var out []Event
	for _, e := range events {
		says := saying{e.About, e.Type, e.Reason, e.Message}
		i, said := at[says]
		if !said {
			at[says] = len(out)
			out = append(out, e)
			continue
		}
		same := &out[i]
		same.Count += e.Count
		if e.First.Before(same.First) {
			same.First = e.First
		}
		if e.Last.After(same.Last) {
			same.Last = e.Last
		}
	}
	slices.SortStableFunc(out, func(a, b Event) int {
		return cmp.Or(a.Last.Compare(b.Last), a.First.Compare(b.First))
	})
	return out
}
