package engine

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// mostHistory is how many entries status.history has at most, as the toolkit
// keeps them ("Kustomization", section "History").
const mostHistory = 5

// originRevisionKey is where an OCI artifact names the commit that it was built
// from (OCI image specification, "Pre-Defined Annotation Keys").
const originRevisionKey = "org.opencontainers.image.revision"

// attempt is a set of manifests on its way to the cluster.
type attempt struct {
	digest string
	begun  time.Time
}

// recorded is the history after an attempt: one entry for each digest and end,
// the newest first. What is as it was, without anything done, is not news.
func recorded(history []kustomizev1.Snapshot, a attempt, p *pass, out Outcome, now time.Time) []kustomizev1.Snapshot {
	if a.digest == "" {
		return history
	}
	if len(history) > 0 && len(out.Actions) == 0 {
		last := history[0]
		if last.Digest == a.digest && last.LastReconciledStatus == out.Reason && last.Metadata["revision"] == out.Revision {
			return history
		}
	}
	entry := kustomizev1.Snapshot{
		Digest:                 a.digest,
		FirstReconciled:        metav1.NewTime(now),
		LastReconciled:         metav1.NewTime(now),
		LastReconciledDuration: metav1.Duration{Duration: now.Sub(a.begun)},
		LastReconciledStatus:   out.Reason,
		TotalReconciliations:   1,
		Metadata:               map[string]string{"revision": out.Revision},
	}
	if origin := p.snapshot.Metadata[originRevisionKey]; origin != "" {
		entry.Metadata["originRevision"] = origin
	}
	same := func(s kustomizev1.Snapshot) bool {
		return s.Digest == entry.Digest && s.LastReconciledStatus == entry.LastReconciledStatus
	}
	if i := slices.IndexFunc(history, same); i >= 0 {
		entry.FirstReconciled = history[i].FirstReconciled
		entry.TotalReconciliations += history[i].TotalReconciliations
	}
	rest := slices.DeleteFunc(slices.Clone(history), same)
	next := append([]kustomizev1.Snapshot{entry}, rest...)
	return next[:min(len(next), mostHistory)]
}
