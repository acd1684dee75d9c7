package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	helmkube "helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Metadata by which Helm knows the objects of a release.
const (
	managedByLabel             = "app.kubernetes.io/managed-by"
	managedByHelm              = "Helm"
	releaseNameAnnotation      = "meta.helm.sh/release-name"
	releaseNamespaceAnnotation = "meta.helm.sh/release-namespace"
)

// Build implements kube.Interface. With validate the server tries each of the objects
// of a release before the action does anything: those that are applied server-side are
// planned for that.
//
// A kind that the cluster does not serve is no error here, but where its objects
// are to be written: what is deleted with its definition is gone.
func (c *Client) Build(manifest io.Reader, validate bool) (helmkube.ResourceList, error) {
	objects, err := c.Manifests.objects(manifest)
	if err != nil {
		return nil, err
	}
	list := make(helmkube.ResourceList, 0, len(objects))
	var parts []*unstructured.Unstructured
	for _, obj := range objects {
		info, err := c.info(obj)
		if err != nil {
			return nil, err
		}
		list = append(list, info)
		if c.isPart(obj) {
			c.mark(obj)
			parts = append(parts, obj)
		}
	}
	c.claim(parts, validate)
	switch {
	case len(parts) == 0:
		return list, nil
	case !validate:
		c.merge(parts)
		return list, nil
	case c.ServerSide:
		return list, c.validate(parts)
	default:
		return list, c.try(parts)
	}
}

// merge keeps what the objects of an upgrade are going to be merged with.
func (c *Client) merge(former []*unstructured.Unstructured) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.former = make([]*unstructured.Unstructured, len(former))
	for i, obj := range former {
		c.former[i] = obj.DeepCopy()
	}
}

// try has the server try the objects of a release that is applied client-side. The SDK
// builds the manifest of an upgrade twice, and in between what it is merged with: without
// that there is nothing to try.
func (c *Client) try(objects []*unstructured.Unstructured) error {
	c.mu.Lock()
	former := c.former
	c.mu.Unlock()
	if _, done := c.plannedFor(objects); done || former == nil && len(c.Former) > 0 {
		return nil
	}
	err := c.applier.Try(c.ctx, c.request(objects, c.Force), former, true)
	if passes(err) {
		return nil
	}
	if err == nil {
		c.keepPlan(apply.Plan{}, objects)
	}
	return err
}

// Manifests remember what manifests say. The SDK has each built several times, and
// reading YAML is the most of that. The zero value is ready for use.
type Manifests struct {
	mu   sync.Mutex
	read map[string][]*unstructured.Unstructured
}

// objects are those of a manifest, for the caller to change.
func (m *Manifests) objects(manifest io.Reader) ([]*unstructured.Unstructured, error) {
	if m == nil {
		return Objects(manifest)
	}
	text, err := io.ReadAll(manifest)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.read[string(text)]
	if !ok {
		if known, err = Objects(bytes.NewReader(text)); err != nil {
			return nil, err
		}
		if m.read == nil {
			m.read = map[string][]*unstructured.Unstructured{}
		}
		m.read[string(text)] = known
	}
	out := make([]*unstructured.Unstructured, len(known))
	for i, obj := range known {
		out[i] = obj.DeepCopy()
	}
	return out, nil
}

// Objects are the objects of a manifest, those in lists one by one.
func Objects(manifest io.Reader) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(manifest, 4096)
	var out []*unstructured.Unstructured
	for {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("the manifest is not YAML: %w", err)
		case len(obj.Object) == 0:
			continue // a document of comments
		case obj.IsList():
			err = obj.EachListItem(func(item runtime.Object) error {
				out = append(out, item.(*unstructured.Unstructured))
				return nil
			})
		default:
			out = append(out, obj)
		}
		if err != nil {
			return nil, err
		}
	}
}

// info describes an object as the SDK wants it.
func (c *Client) info(obj *unstructured.Unstructured) (*resource.Info, error) {
	gvk := obj.GroupVersionKind()
	if gvk.Kind == "" || gvk.Version == "" || obj.GetName() == "" {
		return nil, fmt.Errorf("%s/%s of the manifest needs apiVersion, kind and metadata.name", gvk.Kind, obj.GetName())
	}
	mapping, err := c.Cluster.Mapping(gvk)
	if meta.IsNoMatchError(err) {
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		mapping, err = &meta.RESTMapping{Resource: plural, GroupVersionKind: gvk, Scope: meta.RESTScopeNamespace}, nil
		c.miss(kube.KeyOf(obj))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: find its resource: %w", kube.KeyOf(obj), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		obj.SetNamespace("")
	} else if obj.GetNamespace() == "" {
		obj.SetNamespace(c.Namespace)
	}
	return &resource.Info{
		Client: lookup{c, kube.KeyOf(obj)}, Mapping: mapping, Namespace: obj.GetNamespace(), Name: obj.GetName(), Object: obj,
	}, nil
}

// isPart tells whether an object is a part of the release: no hook, and not the
// namespace that an install creates for itself.
func (c *Client) isPart(obj *unstructured.Unstructured) bool {
	if _, isHook := obj.GetAnnotations()[release.HookAnnotation]; isHook {
		return false
	}
	own := obj.GetKind() == "Namespace" && obj.GetName() == c.Namespace && obj.GetLabels()["name"] == c.Namespace && len(obj.GetAnnotations()) == 0
	return !own
}

// mark gives an object the metadata by which Helm knows it. The SDK does so later;
// what is tried has to be what is written.
func (c *Client) mark(obj *unstructured.Unstructured) {
	labels, annotations := obj.GetLabels(), obj.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	labels[managedByLabel] = managedByHelm
	annotations[releaseNameAnnotation], annotations[releaseNamespaceAnnotation] = c.Release, c.Namespace
	obj.SetLabels(labels)
	obj.SetAnnotations(annotations)
}

// claim notes the objects that the release has or gets, and whether the server is to
// refuse fields that it does not know.
func (c *Client) claim(objects []*unstructured.Unstructured, validate bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strict = c.strict || validate
	for _, obj := range objects {
		c.have = append(c.have, kube.KeyOf(obj))
	}
}

func (c *Client) validates() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.strict
}

// miss notes that an object cannot be there.
func (c *Client) miss(key kube.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.absent[key] = true
}

// validate plans the release's objects and keeps the plan for the write. What the
// server refuses for what may be different then (a namespace or a right that a hook
// brings) is tried again at that time.
func (c *Client) validate(objects []*unstructured.Unstructured) error {
	if _, done := c.plannedFor(objects); done {
		return nil // the SDK builds the manifest of an upgrade twice
	}
	plan, err := c.applier.Plan(c.ctx, c.request(objects, c.Force))
	if passes(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c.keepPlan(plan, objects)
	return nil
}

// keepPlan notes that objects were tried, and what is to be done for them.
func (c *Client) keepPlan(plan apply.Plan, objects []*unstructured.Unstructured) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plan, c.planned = plan, map[kube.Key]planned{}
	for _, obj := range objects {
		c.planned[kube.KeyOf(obj)] = drift.Content(obj)
	}
	for _, change := range plan.Changes() {
		if change.Action == apply.Created {
			c.absent[change.Key] = true
		}
	}
}

// passes tells whether a refusal may be over when it is time to write.
func passes(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range all.Unwrap() {
			if !passes(one) {
				return false
			}
		}
		return true
	}
	return err != nil && (apierrors.IsNotFound(err) || apierrors.IsForbidden(err))
}

func (c *Client) forgetPlan() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.planned = nil
}

// plannedFor is the plan that was made of exactly these objects.
func (c *Client) plannedFor(objects []*unstructured.Unstructured) (apply.Plan, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(objects) != len(c.planned) {
		return apply.Plan{}, false
	}
	for _, obj := range objects {
		if hash, ok := c.planned[kube.KeyOf(obj)]; !ok || hash != drift.Content(obj) {
			return apply.Plan{}, false
		}
	}
	return c.plan, true
}
