package engine

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/source"
)

// describe sets the conditions of a source after a look that ended so. After a
// failure the artifact stays: it is still in use.
func describe(obj fetch.Object, out Outcome, verified string, err error) {
	obj.SetObservedGeneration(obj.GetGeneration())
	if requested := obj.GetAnnotations()[meta.ReconcileRequestAnnotation]; requested != "" {
		obj.SetLastHandledReconcileAt(requested)
	}
	conditions := map[string]metav1.Condition{}
	put := func(name string, status metav1.ConditionStatus, reason, message string) {
		conditions[name] = metav1.Condition{Status: status, Reason: reason, Message: clip(message)}
	}
	have := obj.GetConditions()
	if out.Ready() {
		put(meta.ReadyCondition, metav1.ConditionTrue, out.Reason, out.Message)
		if obj.GetArtifact() != nil {
			put(sourcev1.ArtifactInStorageCondition, metav1.ConditionTrue, out.Reason, out.Message)
		}
		if verified != "" {
			put(sourcev1.SourceVerifiedCondition, metav1.ConditionTrue, meta.SucceededReason, verified)
		}
	} else {
		put(meta.ReadyCondition, metav1.ConditionFalse, out.Reason, out.Message)
		put(sourcev1.FetchFailedCondition, metav1.ConditionTrue, out.Reason, out.Message)
		for _, name := range []string{sourcev1.ArtifactInStorageCondition, sourcev1.SourceVerifiedCondition} {
			if kept := apimeta.FindStatusCondition(*have, name); kept != nil {
				conditions[name] = *kept
			}
		}
		if refusesSignature(err) {
			put(sourcev1.SourceVerifiedCondition, metav1.ConditionFalse, out.Reason, out.Message)
		}
		if out.Next == Stall {
			put(meta.StalledCondition, metav1.ConditionTrue, out.Reason, out.Message)
		}
	}
	setConditions(have, conditions, obj.GetGeneration())
}

// fetchedFor is the generation of a source for which it was last fetched.
func fetchedFor(obj fetch.Object) int64 {
	if c := apimeta.FindStatusCondition(*obj.GetConditions(), sourcev1.ArtifactInStorageCondition); c != nil {
		return c.ObservedGeneration // a failure since then leaves it
	}
	return obj.GetObservedGeneration()
}

func refusesSignature(err error) bool { return errors.As(err, new(*source.VerifyError)) }

// announceSource sends an event when something is new.
func (e *Engine) announceSource(name sourceName, was, obj fetch.Object, out Outcome) {
	before := apimeta.FindStatusCondition(*was.GetConditions(), meta.ReadyCondition)
	fresh := was.GetArtifact() == nil || was.GetArtifact().Revision != out.Revision
	if out.Ready() && !fresh && before != nil && before.Status == metav1.ConditionTrue {
		return
	}
	if !out.Ready() && before != nil && before.Reason == out.Reason && before.Message == out.Message {
		return
	}
	reason := out.Reason
	annotations := map[string]string{}
	if out.Ready() && out.Revision != "" {
		annotations["source.toolkit.fluxcd.io/revision"] = out.Revision
		if reason == meta.SucceededReason {
			reason = sourcev1.NewArtifactReason
		}
	}
	e.events.tell(obj, sourcev1.GroupVersion.String(), name.Kind, !out.Ready(), reason, out.Message, annotations, e.now())
	e.log.Info(out.Message, "kind", name.Kind, "namespace", name.Namespace, "name", name.Name, "reason", reason, "revision", out.Revision)
}

// setConditions makes the conditions exactly these; the time of one that keeps
// its status stays.
func setConditions(have *[]metav1.Condition, want map[string]metav1.Condition, generation int64) {
	for _, c := range slices.Clone(*have) {
		if _, ok := want[c.Type]; !ok {
			apimeta.RemoveStatusCondition(have, c.Type)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		c := want[name]
		c.Type = name
		if c.ObservedGeneration == 0 { // else it is kept as it was
			c.ObservedGeneration = generation
		}
		apimeta.SetStatusCondition(have, c)
	}
}

// statusIn is the status of an object as JSON has it.
func statusIn(obj fetch.Object) (json.RawMessage, error) {
	raw, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	parts := struct {
		Status json.RawMessage `json:"status"`
	}{}
	err = json.Unmarshal(raw, &parts)
	return parts.Status, err
}
