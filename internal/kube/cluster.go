// Package kube is the connection to one cluster: how to reach it, which
// resource serves a kind, and the few requests that the engine makes.
//
// A Cluster has one HTTP transport and one REST mapping, shared by all that
// talk to that cluster, under whatever identity. There is no client-side throttle: the API server's
// priority and fairness does that; what we bound is how many requests are under
// way at once.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/cli-utils/pkg/object"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Key names one object in one version of its kind.
type Key struct {
	object.ObjMetadata
	Version string
}

// KeyOf is the key of obj.
func KeyOf(obj *unstructured.Unstructured) Key {
	gvk := obj.GroupVersionKind()
	return Key{
		ObjMetadata: object.ObjMetadata{Namespace: obj.GetNamespace(), Name: obj.GetName(), GroupKind: gvk.GroupKind()},
		Version:     gvk.Version,
	}
}

// GVK is the kind of the object, with its version.
func (k Key) GVK() schema.GroupVersionKind { return k.GroupKind.WithVersion(k.Version) }

// String is how users see an object everywhere: Kind/namespace/name.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.GroupKind.Kind + "/" + k.Name
	}
	return k.GroupKind.Kind + "/" + k.Namespace + "/" + k.Name
}

// Cluster is a connection. It is safe for concurrent use.
type Cluster struct {
	Config  *rest.Config
	HTTP    *http.Client
	Dynamic dynamic.Interface
	// Account is the user that requests are made as, "" for the one that the
	// configuration names.
	Account string

	raw     rest.Interface
	mapping *mapping
}

// mapping is what was discovered, shared by all identities on one cluster.
type mapping struct {
	mu     sync.Mutex
	mapper meta.RESTMapper
	found  map[schema.GroupVersionKind]*meta.RESTMapping // what the mapper said, which it works out anew each time
	served served
}

// Connect prepares a connection; the first request is made by whoever needs it.
func Connect(config *rest.Config) (*Cluster, error) {
	c, err := connect(config, &mapping{})
	if err != nil {
		return nil, err
	}
	return c, c.ResetMapping()
}

// As is the same cluster for another user, by impersonation
// (https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation).
// It shares the connections and what was discovered.
func (c *Cluster) As(user string) (*Cluster, error) {
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	as, err := connect(config, c.mapping)
	if err != nil {
		return nil, err
	}
	as.Account = user
	return as, nil
}

// ServiceAccount is the name of a service account as a user.
func ServiceAccount(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

func connect(config *rest.Config, shared *mapping) (*Cluster, error) {
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, err
	}
	raw, err := rest.UnversionedRESTClientForConfigAndClient(rawConfig(config), httpClient)
	if err != nil {
		return nil, err
	}
	return &Cluster{Config: config, HTTP: httpClient, Dynamic: dyn, raw: raw, mapping: shared}, nil
}

// Mapper is the REST mapping in use now. Groups are discovered when they are
// first asked for and then kept, until ResetMapping.
func (c *Cluster) Mapper() meta.RESTMapper {
	c.mapping.mu.Lock()
	defer c.mapping.mu.Unlock()
	return c.mapping.mapper
}

// ResetMapping forgets what was discovered; called when a CRD comes or goes.
func (c *Cluster) ResetMapping() error {
	mapper, err := apiutil.NewDynamicRESTMapper(c.Config, c.HTTP)
	if err != nil {
		return err
	}
	c.mapping.mu.Lock()
	c.mapping.mapper, c.mapping.found = mapper, map[schema.GroupVersionKind]*meta.RESTMapping{}
	c.mapping.mu.Unlock()
	c.mapping.served.mu.Lock()
	defer c.mapping.served.mu.Unlock()
	c.mapping.served.known = nil
	return nil
}

// Mapping tells which resource serves the kind, and whether it is namespaced.
// The error is meta.NoMatchError's when the cluster does not serve it.
func (c *Cluster) Mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	c.mapping.mu.Lock()
	mapper, known := c.mapping.mapper, c.mapping.found[gvk]
	c.mapping.mu.Unlock()
	if known != nil {
		return known, nil
	}
	m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	c.mapping.mu.Lock()
	defer c.mapping.mu.Unlock()
	if c.mapping.mapper == mapper { // and was not reset meanwhile
		c.mapping.found[gvk] = m
	}
	return m, nil
}

// Resource is the dynamic client of one kind, in one namespace where it has any.
func (c *Cluster) Resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	m, err := c.Mapping(gvk)
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.Dynamic.Resource(m.Resource).Namespace(namespace), nil
	}
	return c.Dynamic.Resource(m.Resource), nil
}

// Get reads one object.
func (c *Cluster) Get(ctx context.Context, key Key) (*unstructured.Unstructured, error) {
	r, err := c.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return nil, err
	}
	return r.Get(ctx, key.Name, metav1.GetOptions{})
}

// ApplyOptions say how to apply: as which field manager, and whether to only try.
type ApplyOptions struct {
	Manager string
	DryRun  bool
}

// Apply applies obj server-side, taking over fields from other managers, and
// returns the object as the server has it, or would have it in a dry run.
func (c *Cluster) Apply(ctx context.Context, obj *unstructured.Unstructured, o ApplyOptions) (*unstructured.Unstructured, error) {
	r, err := c.Resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	opts := metav1.ApplyOptions{FieldManager: o.Manager, Force: true}
	if o.DryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	return r.Apply(ctx, obj.GetName(), obj, opts)
}

// PatchJSON sends a JSON patch (RFC 6902) to one object.
func (c *Cluster) PatchJSON(ctx context.Context, key Key, patch []byte, manager string) (*unstructured.Unstructured, error) {
	r, err := c.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return nil, err
	}
	return r.Patch(ctx, key.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: manager})
}

// Delete deletes one object if it still is the one that the caller looked at.
// gone is true when the object is no more, and false when the server has only
// marked it, because a finalizer or a grace period keeps it.
func (c *Cluster) Delete(ctx context.Context, key Key, uid types.UID, resourceVersion string) (gone bool, err error) {
	return c.delete(ctx, key, metav1.DeletePropagationBackground, preconditions(uid, resourceVersion))
}

// DeleteAs deletes one object, whichever it is, with what depends on it as policy
// says. gone is as for Delete.
func (c *Cluster) DeleteAs(ctx context.Context, key Key, policy metav1.DeletionPropagation) (gone bool, err error) {
	return c.delete(ctx, key, policy, nil)
}

func (c *Cluster) delete(ctx context.Context, key Key, policy metav1.DeletionPropagation, only *metav1.Preconditions) (bool, error) {
	m, err := c.Mapping(key.GVK())
	if err != nil {
		return false, err
	}
	body, err := json.Marshal(metav1.DeleteOptions{
		TypeMeta:          metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions:     only,
		PropagationPolicy: &policy,
	})
	if err != nil {
		return false, err
	}
	result := c.raw.Delete().AbsPath(path(m, key)).SetHeader("Content-Type", "application/json").Body(body).Do(ctx)
	raw, err := result.Raw()
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, result.Error() // which has read what the server says
	}
	// The server answers with a Status when the object is gone, or for some kinds
	// (Service) with the object as it was; and with the object itself,
	// deletionTimestamp set, when it lingers.
	answer := metav1.PartialObjectMetadata{}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return false, fmt.Errorf("%s: answer to delete: %w", key, err)
	}
	return answer.Kind == "Status" || answer.DeletionTimestamp == nil, nil
}

func preconditions(uid types.UID, resourceVersion string) *metav1.Preconditions {
	p := &metav1.Preconditions{}
	if uid != "" {
		p.UID = &uid
	}
	if resourceVersion != "" {
		p.ResourceVersion = &resourceVersion
	}
	return p
}

func path(m *meta.RESTMapping, key Key) string {
	p := "/apis/" + m.Resource.Group + "/" + m.Resource.Version
	if m.Resource.Group == "" {
		p = "/api/" + m.Resource.Version
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		p += "/namespaces/" + key.Namespace
	}
	return p + "/" + m.Resource.Resource + "/" + key.Name
}
