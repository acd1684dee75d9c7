package preview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/helmrel/charts"
	"github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// errElsewhere says that a chart is in a source that is not the previewed one.
var errElsewhere = errors.New("its chart is in another source")

// object finds a source among what is known.
func (r *renderer) object(kind, namespace, name string) (fetch.Object, error) {
	for _, k := range r.backends.Kinds {
		if k.GVK().Kind != kind {
			continue
		}
		for _, obj := range r.known {
			if obj.GetKind() != kind || obj.GroupVersionKind().Group != k.GVK().Group || obj.GetName() != name || obj.GetNamespace() != namespace {
				continue
			}
			found := k.New()
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, found); err != nil {
				return nil, fmt.Errorf("%s/%s/%s: %w", kind, namespace, name, err)
			}
			return found, nil
		}
		return nil, fmt.Errorf("%s/%s/%s is not among what was built: give it with --with FILE", kind, namespace, name)
	}
	return nil, errElsewhere
}

// data is that of a Secret or ConfigMap.
func (r *renderer) data(ctx context.Context, kind, namespace, name string) (map[string][]byte, error) {
	data, absent := find(r.known, kind, namespace, name)
	if absent == nil || r.Find == nil {
		return data, absent
	}
	found, err := r.Find(ctx, kind, namespace, name)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, fmt.Errorf("%s/%s/%s not found", kind, namespace, name)
	}
	return find([]*unstructured.Unstructured{found}, kind, namespace, name)
}

// fetch brings a source.
func (r *renderer) fetch(ctx context.Context, kind string, obj fetch.Object) (source.Snapshot, error) {
	for _, k := range r.backends.Kinds {
		if k.GVK().Kind == kind {
			return k.Fetch(ctx, cluster{r, obj.GetNamespace()}, obj, source.Snapshot{})
		}
	}
	return source.Snapshot{}, errElsewhere
}

// load parses the chart that a snapshot is.
func (r *renderer) load(s source.Snapshot) (*charts.Chart, error) {
	if s.Archive == nil {
		return nil, errors.New("it is no packed chart")
	}
	return r.charts.Load(s.Digest, func() (io.ReadCloser, error) { return r.backends.Store.Open(s.Archive.Hash) })
}

// cluster is what stands for a cluster where sources are fetched: what was built,
// and what was given beside it.
type cluster struct {
	*renderer
	namespace string
}

var _ fetch.Cluster = cluster{}

// Secret implements fetch.Cluster.
func (c cluster) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	return c.data(ctx, "Secret", c.namespace, name)
}

// ServiceAccount implements fetch.Cluster. Without a cluster there is nobody who could
// make a token, and with one it is for the engine to ask for it.
func (c cluster) ServiceAccount(_ context.Context, name string) (*cloud.ServiceAccount, []string, error) {
	if c.Find != nil {
		return nil, nil, fmt.Errorf("it needs a token of ServiceAccount/%s/%s, %w", c.namespace, name, errLeftOut)
	}
	return nil, nil, fmt.Errorf("ServiceAccount/%s/%s: without a cluster no account can be used", c.namespace, name)
}

// Source implements fetch.Cluster: the previewed tree stands for its own source.
func (c cluster) Source(ctx context.Context, kind, name string) (fetch.Object, source.Snapshot, error) {
	ref := kustomizev1.CrossNamespaceSourceReference{Kind: kind, Namespace: c.namespace, Name: name}
	if c.here[ref] {
		root, err := c.tree.Stat(".")
		return &sourcev1.GitRepository{}, source.Snapshot{Revision: "preview", Digest: "sha256:" + root.Hash, Tree: c.tree}, err
	}
	if kind != sourcev1.HelmRepositoryKind && c.Sources == nil {
		return nil, source.Snapshot{}, errElsewhere
	}
	obj, err := c.object(kind, c.namespace, name)
	if err != nil {
		return nil, source.Snapshot{}, err
	}
	snapshot, err := c.fetch(ctx, kind, obj)
	return obj, snapshot, err
}

// HelmRepositories implements fetch.Cluster.
func (c cluster) HelmRepositories(context.Context) ([]*sourcev1.HelmRepository, error) {
	var out []*sourcev1.HelmRepository
	for _, obj := range c.known {
		if obj.GetKind() != sourcev1.HelmRepositoryKind || obj.GetNamespace() != c.namespace {
			continue
		}
		found, err := c.object(sourcev1.HelmRepositoryKind, c.namespace, obj.GetName())
		if err != nil {
			return nil, err
		}
		out = append(out, found.(*sourcev1.HelmRepository)) //nolint:forcetypeassert // of that kind
	}
	return out, nil
}

// parsed are the objects of a manifest, in the namespace of the release where they
// name none. Which kinds have no namespace is for a cluster to know.
func parsed(manifest, namespace string) ([]*unstructured.Unstructured, error) {
	objs, err := client.Objects(strings.NewReader(manifest))
	if err != nil {
		return nil, err
	}
	for _, obj := range objs {
		if obj.GetNamespace() == "" && !clusterWide[obj.GetKind()] {
			obj.SetNamespace(namespace)
		}
	}
	return objs, nil
}

// clusterWide are the kinds of Kubernetes itself that have no namespace.
var clusterWide = map[string]bool{
	"Namespace": true, "CustomResourceDefinition": true, "ClusterRole": true, "ClusterRoleBinding": true, "PersistentVolume": true,
	"StorageClass": true, "PriorityClass": true, "IngressClass": true, "RuntimeClass": true, "GatewayClass": true, "APIService": true,
	"MutatingWebhookConfiguration": true, "ValidatingWebhookConfiguration": true, "ValidatingAdmissionPolicy": true,
	"ValidatingAdmissionPolicyBinding": true, "CSIDriver": true, "CSINode": true, "Node": true, "VolumeAttachment": true,
}
