package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
)

// mostHistory is how many entries status.history has at most, as the toolkit
// keeps them ("Kustomization", section "History").
const mostHistory = 5

// originRevisionKey is where an OCI artifact names the commit that it was built
// from (OCI image specification, "Pre-Defined Annotation Keys").
const originRevisionKey = "org.opencontainers.image.revision"

// recorded is the history after a pass: one entry for each digest and end, the
// newest first. A pass that ended before there were manifests, waits, or found
// nothing to do leaves it as it is.
func recorded(history []kustomizev1.Snapshot, p *pass, out Outcome, now time.Time) []kustomizev1.Snapshot {
	if !p.built || p.repeated || p.digest == "" || out.Reason == meta.ProgressingReason {
		return history
	}
	entry := kustomizev1.Snapshot{
		Digest:                 p.digest,
		FirstReconciled:        metav1.NewTime(now),
		LastReconciled:         metav1.NewTime(now),
		LastReconciledDuration: metav1.Duration{Duration: now.Sub(p.begun)},
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

// digestOf names the manifests that a build gave.
func digestOf(objects []*unstructured.Unstructured) string {
	h := sha256.New()
	for _, obj := range objects {
		h.Write(asJSON(obj.Object))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
