package prune

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/denial"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// unmanaged selects what no engine put there.
const unmanaged = "!" + kustomizev1.NameLabel + ",!helm.toolkit.fluxcd.io/name"

// listed is how much of a kind is looked at in one request; one find is enough.
const listed = 100

// holds names something that would be lost with the object, "" when nothing would.
func (p *Pruner) holds(ctx context.Context, key kube.Key) (string, error) {
	switch key.GroupKind {
	case schema.GroupKind{Kind: "Namespace"}:
		return p.namespaceHolds(ctx, key.Name)
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		return p.definitionHolds(ctx, key)
	case schema.GroupKind{Kind: "PersistentVolumeClaim"}:
		return p.claimHolds(ctx, key)
	default:
		return "", nil
	}
}

func (p *Pruner) claimHolds(ctx context.Context, key kube.Key) (string, error) {
	claim, err := p.get(ctx, key)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if phase, _, _ := unstructured.NestedString(claim.Object, "status", "phase"); phase == "Bound" {
		return "the data of a volume", nil
	}
	return "", nil
}

func (p *Pruner) definitionHolds(ctx context.Context, key kube.Key) (string, error) {
	definition, err := p.get(ctx, key)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if name, _ := version["name"].(string); version["served"] == true {
			return p.unmanagedOf(ctx, schema.GroupVersionResource{Group: group, Version: name, Resource: plural}, "")
		}
	}
	return "", nil
}

// namespaceHolds looks at every kind that can be in a namespace, since only
// that tells what a deletion would take along.
func (p *Pruner) namespaceHolds(ctx context.Context, namespace string) (string, error) {
	resources, err := p.namespaced()
	if err != nil {
		return "", err
	}
	var mu sync.Mutex
	var found []string // guarded by mu
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, gvr := range resources {
		group.Go(func() error {
			one, err := p.unmanagedOf(ctx, gvr, namespace)
			if one != "" {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, one)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil || len(found) == 0 {
		return "", err
	}
	slices.Sort(found)
	return found[0], nil
}

func (p *Pruner) namespaced() ([]schema.GroupVersionResource, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(p.Cluster.Config, p.Cluster.HTTP)
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredNamespacedResources()
	if err != nil {
		return nil, fmt.Errorf("discover what can be in a namespace: %w", err)
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists)
	found, err := discovery.GroupVersionResources(lists)
	if err != nil {
		return nil, err
	}
	var out []schema.GroupVersionResource
	for gvr := range found {
		out = append(out, gvr)
	}
	return out, nil
}

// unmanagedOf names an object of the resource that nobody manages and that the
// cluster did not make by itself.
func (p *Pruner) unmanagedOf(ctx context.Context, gvr schema.GroupVersionResource, namespace string) (string, error) {
	options := metav1.ListOptions{LabelSelector: unmanaged, Limit: listed}
	for {
		list, err := p.Cluster.Dynamic.Resource(gvr).Namespace(namespace).List(ctx, options)
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			return "", nil
		}
		if err != nil {
			return "", denial.Explain(err)
		}
		for i := range list.Items {
			if obj := &list.Items[i]; !automatic(obj) {
				return kube.KeyOf(obj).String(), nil
			}
		}
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return "", nil
		}
	}
}

// automatic tells whether the cluster itself made the object, and would again.
func automatic(obj *unstructured.Unstructured) bool {
	if len(obj.GetOwnerReferences()) > 0 || obj.GetDeletionTimestamp() != nil {
		return true
	}
	switch obj.GetKind() {
	case "Event", "Endpoints", "EndpointSlice", "PodMetrics":
		return true
	case "ServiceAccount":
		return obj.GetName() == "default"
	case "ConfigMap":
		return obj.GetName() == "kube-root-ca.crt"
	default:
		return false
	}
}
