package apply

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
	"github.com/plumb-gitops/plumb/live"
)

var autoscalers = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}

// scaling knows what HorizontalPodAutoscalers target. What the cluster has is
// asked for once for each namespace.
type scaling struct {
	wanted map[kube.Key]bool // targets of the set's own, without version
	own    map[string]bool   // namespace/name of those autoscalers
	mu     sync.Mutex
	asked  map[string]func() (map[kube.Key]bool, error) // by namespace
}

func newScaling(objects []*unstructured.Unstructured) *scaling {
	s := &scaling{wanted: map[kube.Key]bool{}, own: map[string]bool{}, asked: map[string]func() (map[kube.Key]bool, error){}}
	for _, obj := range objects {
		if isAutoscaler(obj.GroupVersionKind().GroupKind()) {
			s.wanted[targetOf(obj)] = true
			s.own[obj.GetNamespace()+"/"+obj.GetName()] = true
		}
	}
	return s
}

func isAutoscaler(gk schema.GroupKind) bool {
	return gk.Group == autoscalers.Group && gk.Kind == "HorizontalPodAutoscaler"
}

// targetOf is what an autoscaler scales.
func targetOf(autoscaler *unstructured.Unstructured) kube.Key {
	ref, _, _ := unstructured.NestedStringMap(autoscaler.Object, "spec", "scaleTargetRef")
	key := kube.Key{}
	key.GroupKind = schema.FromAPIVersionAndKind(ref["apiVersion"], ref["kind"]).GroupKind()
	key.Namespace, key.Name = autoscaler.GetNamespace(), ref["name"]
	return key
}

// targets tells whether an autoscaler of the set scales the object.
func (s *scaling) targets(key kube.Key) bool {
	return s.wanted[kube.Key{ObjMetadata: key.ObjMetadata}]
}

// autoscaled tells whether there is an autoscaler for the object: in the set, or
// on the cluster and not about to leave with this set. Where we may not look,
// what the autoscaler wrote has to be proof enough.
func (p *planning) autoscaled(ctx context.Context, key kube.Key) (bool, error) {
	if p.scaling.targets(key) {
		return true, nil
	}
	p.scaling.mu.Lock()
	ask, ok := p.scaling.asked[key.Namespace]
	if !ok {
		ask = sync.OnceValues(func() (map[kube.Key]bool, error) { return p.scaledIn(ctx, key.Namespace) })
		p.scaling.asked[key.Namespace] = ask
	}
	p.scaling.mu.Unlock()
	targets, err := ask()
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return true, nil
	}
	return targets[kube.Key{ObjMetadata: key.ObjMetadata}], err
}

func (p *planning) scaledIn(ctx context.Context, namespace string) (map[kube.Key]bool, error) {
	list, err := retry.Do(ctx, func() (*unstructured.UnstructuredList, error) {
		return p.Cluster.Dynamic.Resource(autoscalers).Namespace(namespace).List(ctx, metav1.ListOptions{})
	})
	if err != nil {
		return nil, err
	}
	targets := map[kube.Key]bool{}
	for i := range list.Items {
		a := &list.Items[i]
		ours := live.Owner(p.req.Unit.Kind, a) == p.req.Unit
		if !ours || p.scaling.own[namespace+"/"+a.GetName()] {
			targets[targetOf(a)] = true
		}
	}
	return targets, nil
}
