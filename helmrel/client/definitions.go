package client

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	helmkube "helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/resource"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/health"
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
	var list helmkube.ResourceList
	for _, file := range files {
		objects, err := Objects(bytes.NewReader(file))
		if err != nil {
			return err
		}
		for _, obj := range objects {
			info, err := c.info(obj)
			if err != nil {
				return err
			}
			list = append(list, info)
		}
	}
	if err := c.each(list, func(info *resource.Info) error { return c.define(info, policy) }); err != nil {
		return err
	}
	if err := c.served(list, timeout); err != nil {
		return err
	}
	return c.Cluster.ResetMapping() // before the watch on definitions tells
}

func (c *Client) define(info *resource.Info, policy string) error {
	obj := objectOf(info).DeepCopy()
	labels := maps.Clone(obj.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, c.Owner.Labels())
	obj.SetLabels(labels)
	_, err := c.applier.Create(c.ctx, obj, c.Owner, policy == helmv2.CRDsCreateReplace)
	if policy == helmv2.CRDsCreate && apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// served waits until definitions are established.
func (c *Client) served(list helmkube.ResourceList, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(c.ctx, timeout, errTimeout)
	defer cancel()
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
