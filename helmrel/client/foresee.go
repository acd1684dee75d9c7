package client

import (
	"bytes"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Foresee is what writing a manifest would do, with all fields, and what of a former
// manifest would go, by dry runs. The definitions that the chart brings along are tried
// first, as the policy says. Nothing is written.
func (c *Client) Foresee(manifest, former string, files [][]byte, policy string) ([]apply.Change, error) {
	list, err := c.Build(strings.NewReader(manifest), false)
	if err != nil {
		return nil, err
	}
	definitions, err := Definitions(files)
	if err != nil {
		return nil, err
	}
	if policy == helmv2.CRDsSkip {
		definitions = nil
	}
	objects := definitions
	stays := map[kube.Key]bool{}
	for _, info := range list {
		stays[keyOf(info)] = true
		if c.isPart(objectOf(info)) {
			objects = append(objects, objectOf(info))
		}
	}
	req := c.request(objects, c.Force)
	req.Explain = true
	plan, err := c.applier.Plan(c.ctx, req)
	if err != nil {
		return nil, err
	}
	changes := kept(plan.Changes(), definitions, policy)
	gone, err := c.Build(strings.NewReader(former), false)
	for _, info := range gone {
		if !stays[keyOf(info)] {
			changes = append(changes, apply.Change{Key: keyOf(info), Action: apply.Deleted})
		}
	}
	return changes, err
}

// kept leaves out changes of definitions that stay as they are.
func kept(changes []apply.Change, definitions []*unstructured.Unstructured, policy string) (out []apply.Change) {
	stay := map[kube.Key]bool{}
	for _, obj := range definitions {
		stay[kube.KeyOf(obj)] = policy != helmv2.CRDsCreateReplace
	}
	for _, change := range changes {
		if !stay[change.Key] || change.Action == apply.Created {
			out = append(out, change)
		}
	}
	return out
}

// Definitions are the objects in a chart's files of the folder crds.
func Definitions(files [][]byte) (out []*unstructured.Unstructured, err error) {
	for _, file := range files {
		objects, err := Objects(bytes.NewReader(file))
		if err != nil {
			return nil, err
		}
		out = append(out, objects...)
	}
	return out, nil
}
