package client

import (
	"fmt"
	"strings"

	helmkube "helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/denial"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// Leave removes what earlier records brought and a manifest does not name, and
// returns what was to go. An install or update does so by itself.
func (c *Client) Leave(manifest string) (helmkube.ResourceList, error) {
	target, err := c.Build(strings.NewReader(manifest), false)
	if err != nil {
		return nil, err
	}
	return c.settle(nil, target)
}

// settle removes what a release does not have any more, in the opposite order of
// applying: what the manifest before names, and what earlier records do. A crash in
// here leaves records that name all of it still.
func (c *Client) settle(before, target helmkube.ResourceList) (helmkube.ResourceList, error) {
	failpoint.Hit("release.written")
	left, err := c.leaving(before, target)
	if err != nil {
		return nil, err
	}
	for _, stage := range c.stages(left) {
		err := c.each(stage, func(info *resource.Info) error {
			failpoint.Hit("release.remove")
			_, err := c.applier.Settle(c.ctx, c.Owner, keyOf(info), metav1.DeletePropagationBackground)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

// leaving are the objects that are to go. Another version of the same kind is the
// same object.
func (c *Client) leaving(before, target helmkube.ResourceList) (helmkube.ResourceList, error) {
	seen := map[object.ObjMetadata]bool{}
	for _, key := range keysOf(target) {
		seen[key.ObjMetadata] = true
	}
	var out helmkube.ResourceList
	for _, info := range before {
		if key := keyOf(info); !seen[key.ObjMetadata] {
			seen[key.ObjMetadata] = true
			out = append(out, info)
		}
	}
	for _, manifest := range c.Former {
		list, err := c.Build(strings.NewReader(manifest), false)
		if err != nil {
			return nil, err
		}
		for _, info := range list {
			key := keyOf(info)
			if seen[key.ObjMetadata] {
				continue
			}
			seen[key.ObjMetadata] = true
			ours, err := c.ours(key)
			if err != nil {
				return nil, err
			}
			if ours {
				out = append(out, info)
			}
		}
	}
	return out, nil
}

// ours tells whether an object is there and belongs to the release. A record that
// failed or was interrupted names objects that it perhaps never came to write, and
// that may be somebody else's.
func (c *Client) ours(key kube.Key) (bool, error) {
	if r, known := c.View.Get(c.Owner.Kind, key); known {
		return r.Owner == c.Owner, nil
	}
	obj, err := c.Cluster.Get(c.ctx, key)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s: look whether it is the release's: %w", key, denial.Explain(err))
	}
	owner, said := live.Reduce(c.Owner.Kind, obj).Owner, obj.GetAnnotations()
	helms := obj.GetLabels()[managedByLabel] == managedByHelm && said[releaseNameAnnotation] == c.Release && said[releaseNamespaceAnnotation] == c.Namespace
	return owner == c.Owner || helms && owner == (live.User{}), nil
}
