package client

import (
	"context"
	"fmt"
	"maps"
	"time"

	helmkube "helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/resource"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Definitions brings the CustomResourceDefinitions that a chart has in its folder
// crds to the cluster, and waits until they are served. With helmv2.CRDsCreate those
// that are there stay as they are; with helmv2.CRDsCreateReplace all are applied;
// with helmv2.CRDsSkip there is nothing to do. They carry the labels of the release
// that made them, and stay when it goes.
func (c *Client) Definitions(files [][]byte, policy string, timeout time.Duration) error {
	if policy == helmv2.CRDsSkip || len(files) == 0 {
		return nil
	}
	objects, err := Definitions(files)
	if err != nil {
		return err
	}
	var list helmkube.ResourceList
	for _, obj := range objects {
		info, err := c.info(obj)
		if err != nil {
			return err
		}
		list = append(list, info)
	}
	if err := c.each(list, func(info *resource.Info) error { return c.define(info, policy) }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(c.ctx, timeout, errTimeout)
	defer cancel()
	if err := c.served(ctx, list); err != nil {
		return err
	}
	return c.discovered(ctx, list)
}

// pauses are those between looks at what is discovered; the longest goes on.
var pauses = wait.Backoff{Duration: 10 * time.Millisecond, Factor: 2, Steps: 1000, Cap: time.Second}

// discovered waits until the kinds are to be found. An API server says a little later
// in its discovery what it serves than in the definition's conditions, and nothing
// tells when it does: an install would fail for want of a kind that is there.
func (c *Client) discovered(ctx context.Context, list helmkube.ResourceList) error {
	kinds, err := c.kindsIn(ctx, list)
	if err != nil {
		return err
	}
	err = pauses.DelayFunc().Until(ctx, true, true, func(context.Context) (bool, error) {
		if err := c.Cluster.ResetMapping(); err != nil {
			return false, err
		}
		for _, gvk := range kinds {
			if _, err := c.Cluster.Mapping(gvk); meta.IsNoMatchError(err) {
				return false, nil
			} else if err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// kindsIn are the kinds that definitions define, in all versions that they serve: as
// they are on the cluster, since those that were there may differ from the chart's.
func (c *Client) kindsIn(ctx context.Context, list helmkube.ResourceList) (kinds []schema.GroupVersionKind, err error) {
	for _, info := range list {
		obj, err := c.Cluster.Get(ctx, keyOf(info))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyOf(info), err)
		}
		group, _, _ := unstructured.NestedString(obj.Object, "spec", "group") // the API server has checked its form
		kind, _, _ := unstructured.NestedString(obj.Object, "spec", "names", "kind")
		versions, _, _ := unstructured.NestedSlice(obj.Object, "spec", "versions")
		for _, v := range versions {
			if version, ok := v.(map[string]any); ok && version["served"] == true {
				kinds = append(kinds, schema.GroupVersionKind{Group: group, Version: fmt.Sprint(version["name"]), Kind: kind})
			}
		}
	}
	return kinds, nil
}

func (c *Client) define(info *resource.Info, policy string) error {
	obj := objectOf(info).DeepCopy()
	labels := maps.Clone(obj.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, c.Owner.Labels())
	obj.SetLabels(labels)
	failpoint.Hit("release.definition")
	_, err := c.applier.Create(c.ctx, obj, c.Owner, policy == helmv2.CRDsCreateReplace)
	if policy == helmv2.CRDsCreate && apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// served waits until definitions are established.
func (c *Client) served(ctx context.Context, list helmkube.ResourceList) error {
	keys := keysOf(list)
	if err := c.follow(ctx, keys); err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // ends a watch; nothing is lost with an error
	return c.until(ctx, keys, func() (string, error) { return c.established(ctx, keys) })
}

func (c *Client) established(ctx context.Context, keys []kube.Key) (string, error) {
	for _, key := range keys {
		obj, err := c.View.Object(ctx, key)
		if err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
		if v := health.Of(obj); v.Status != health.Current {
			return text(key, v), nil
		}
	}
	return "", nil
}
