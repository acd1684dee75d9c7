package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/git"
)

// sourceOutcome turns the end of a fetch into words.
func sourceOutcome(snapshot source.Snapshot, err error) Outcome {
	if err == nil {
		return Outcome{Reason: meta.SucceededReason, Revision: snapshot.Revision, Message: fmt.Sprintf("stored artifact for revision '%s'", snapshot.Revision)}
	}
	out := Outcome{Reason: sourcev1.GitOperationFailedReason, Message: err.Error(), Next: Retry}
	var failure *sourceFailure
	var auth *git.AuthError
	var url *git.InvalidURL
	switch {
	case errors.As(err, &failure):
		out.Reason, out.Next = failure.reason, failure.next
	case errors.As(err, &auth):
		out.Reason = sourcev1.AuthenticationFailedReason
	case errors.As(err, &url):
		out.Reason, out.Next = sourcev1.URLInvalidReason, Stall
	}
	return out
}

// gitStatus is the status of a repository after a fetch that ended so. After a
// failure the artifact stays: it is still in use.
func gitStatus(obj *sourcev1.GitRepository, snapshot source.Snapshot, out Outcome, now metav1.Time) sourcev1.GitRepositoryStatus {
	s := *obj.Status.DeepCopy()
	s.ObservedGeneration = obj.Generation
	if requested := obj.Annotations[meta.ReconcileRequestAnnotation]; requested != "" {
		s.LastHandledReconcileAt = requested
	}
	conditions := map[string]metav1.Condition{}
	if out.Ready() {
		s.ObservedIgnore = obj.Spec.Ignore
		if s.Artifact == nil || s.Artifact.Revision != snapshot.Revision || s.Artifact.Digest != snapshot.Digest {
			s.Artifact = artifactOf(obj, snapshot, now)
		}
		conditions[meta.ReadyCondition] = metav1.Condition{Status: metav1.ConditionTrue, Reason: out.Reason, Message: out.Message}
		conditions[sourcev1.ArtifactInStorageCondition] = metav1.Condition{Status: metav1.ConditionTrue, Reason: out.Reason, Message: out.Message}
	} else {
		conditions[meta.ReadyCondition] = metav1.Condition{Status: metav1.ConditionFalse, Reason: out.Reason, Message: clip(out.Message)}
		conditions[sourcev1.FetchFailedCondition] = metav1.Condition{Status: metav1.ConditionTrue, Reason: out.Reason, Message: clip(out.Message)}
		if kept := apimeta.FindStatusCondition(s.Conditions, sourcev1.ArtifactInStorageCondition); kept != nil {
			conditions[sourcev1.ArtifactInStorageCondition] = *kept
		}
		if out.Next == Stall {
			conditions[meta.StalledCondition] = metav1.Condition{Status: metav1.ConditionTrue, Reason: out.Reason, Message: clip(out.Message)}
		}
	}
	setConditions(&s.Conditions, conditions, obj.Generation)
	return s
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
		c.Type, c.ObservedGeneration = name, generation
		apimeta.SetStatusCondition(have, c)
	}
}

func artifactOf(obj *sourcev1.GitRepository, snapshot source.Snapshot, now metav1.Time) *meta.Artifact {
	path := fmt.Sprintf("gitrepository/%s/%s/%s.tar.gz", obj.Namespace, obj.Name, lastPart(snapshot.Revision))
	return &meta.Artifact{
		Path:           path,
		URL:            "http://plumb.flux-system.svc.cluster.local./" + path,
		Revision:       snapshot.Revision,
		Digest:         snapshot.Digest,
		LastUpdateTime: now,
	}
}

// lastPart is the commit in a revision of the form ref@sha1:commit.
func lastPart(revision string) string { return revision[strings.LastIndex(revision, ":")+1:] }
