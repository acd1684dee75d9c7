package apply

import (
	"context"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// A new version of an application changes a label of all its objects, and more of few of
// them. Where nothing differs from what the server took last time but such labels and
// annotations, a dry run says nothing that the rules for these don't say, which are
// published and the same for all kinds; docs/decisions/0015-labels.md says what that
// guarantees.

// relabel decides the changes of a stage that are of that sort, and adds them to vouched.
func (p *planning) relabel(ctx context.Context, stage []Change, open []int, vouched map[int]bool) {
	for _, i := range open {
		if !vouched[i] && p.relabels(stage[i]) && p.unopposed(ctx, stage[i].Key) {
			stage[i].Action, stage[i].foreseen, vouched[i] = Configured, true, true
		}
	}
}

// relabels tells whether an object is as we left it, and only free labels and
// annotations of it are to change.
func (p *planning) relabels(c Change) bool {
	return p.req.Leads && p.Facts != nil && c.body != (drift.Hash{}) && p.req.Written[c.Key].Body == c.body &&
		p.straight(c) && p.asLeft(c) && plainMetadata(c.desired)
}

// unopposed tells whether nobody has a say in changes of a kind, and the account may
// make them.
func (p *planning) unopposed(ctx context.Context, key kube.Key) bool {
	m, err := p.Cluster.Mapping(key.GVK())
	if err != nil {
		return false
	}
	rules, err := remembered(p.Facts, "rules", func() (admission, error) { return p.admission(ctx) })
	if err != nil || rules.concern(m.Resource, "UPDATE") {
		return false
	}
	right := strings.Join([]string{p.Cluster.Account, m.Resource.String(), key.Namespace}, "|")
	allowed, err := remembered(p.Facts, right, func() (bool, error) { return p.may(ctx, "patch", m.Resource, key.Namespace) })
	return err == nil && allowed
}

// body hashes an object without its free labels and annotations.
func body(obj *unstructured.Unstructured) drift.Hash {
	metadata, _ := obj.Object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	for _, name := range []string{"labels", "annotations"} {
		texts, ok := metadata[name].(map[string]any)
		if !ok {
			continue
		}
		bound := maps.Clone(texts)
		maps.DeleteFunc(bound, func(name string, _ any) bool { return free(name) })
		if metadata[name] = bound; len(bound) == 0 {
			delete(metadata, name)
		}
	}
	out := maps.Clone(obj.Object)
	out["metadata"] = metadata
	return drift.Content(&unstructured.Unstructured{Object: out})
}

// free tells whether nothing in Kubernetes, nor Plumb, reads a label or an annotation of
// that name (Kubernetes documentation, "Well-Known Labels, Annotations and Taints": its
// own are in kubernetes.io and k8s.io, and those in app.kubernetes.io are for users).
func free(name string) bool {
	domain, _, prefixed := strings.Cut(name, "/")
	if !prefixed || domain == "app.kubernetes.io" {
		return true
	}
	for _, read := range []string{"kubernetes.io", "k8s.io", "toolkit.fluxcd.io", "plumb-gitops.github.io"} {
		if domain == read || strings.HasSuffix(domain, "."+read) {
			return false
		}
	}
	return true
}

// admission are the rules of all who have a say in what is written. It is odd when some
// of them could not be read: then they may concern everything.
type admission struct {
	rules []any
	odd   bool
}

// concern tells whether somebody may have a say in an operation on a resource's objects.
func (a admission) concern(resource schema.GroupVersionResource, operation string) bool {
	if a.odd {
		return true
	}
	for _, rule := range a.rules {
		if concerns(rule, resource, operation) {
			return true
		}
	}
	return false
}
