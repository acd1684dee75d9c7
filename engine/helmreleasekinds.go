package engine

import (
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/apply"
)

// A release that fails since the cluster lacks a kind is not given up when its retries
// are: the definition may come with another release. Its event wakes it (wake.go), and
// a retry with backoff finds what no event tells, of other clusters or in the moment
// between a definition and its discovery. What it waits for is in its status, so that
// a restart forgets nothing.

// lackedKind is the kind for want of which the last attempt failed.
func lackedKind(s helmv2.HelmReleaseStatus) (schema.GroupVersionKind, bool) {
	c := apimeta.FindStatusCondition(s.Conditions, helmv2.ReleasedCondition)
	if c == nil || c.Status == metav1.ConditionTrue {
		return schema.GroupVersionKind{}, false
	}
	return apply.NamedUnknownKind(c.Message)
}

// kindCame tells whether the cluster has it by now.
func kindCame(p *releasePass) bool {
	gvk, lacks := lackedKind(p.status)
	if !lacks {
		return false
	}
	_, err := p.cluster.Mapping(gvk)
	return err == nil
}

// exhausted is how a pass ends whose retries are spent.
func exhausted(p *releasePass) Next {
	if _, lacks := lackedKind(p.status); lacks {
		return Retry
	}
	return Stall
}

// lacksKind tells whether a release waits for a kind, and has it looked at again.
func (u *releaseUnit) lacksKind() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.object == nil {
		return false
	}
	_, lacks := lackedKind(u.object.Status)
	u.dirty = u.dirty || lacks
	return lacks
}
