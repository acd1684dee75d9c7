package client

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Drift compares the manifest of a release with the cluster: what somebody else
// changed or deleted, with its fields and who wrote them. The server is asked, by a
// dry run, only about objects that the live view saw change since Options.Known,
// and about those of which nothing is known. Nothing is written.
//
// Left out are the fields of spec.driftDetection.ignore, and objects that say
// "disabled" in the annotation helmv2.DriftDetectionAnnotation.
func (c *Client) Drift(manifest string, ignore *drift.Ignores) (*Drift, error) {
	objects, err := c.watched(manifest)
	if err != nil {
		return nil, err
	}
	req := c.request(objects, false)
	req.Ignore, req.Explain, req.ByContent = ignore, true, true
	plan, err := c.applier.Plan(c.ctx, req)
	if err != nil {
		return nil, err
	}
	return &Drift{client: c, request: req, plan: plan}, nil
}

// watched are the objects of a manifest whose drift counts.
func (c *Client) watched(manifest string) ([]*unstructured.Unstructured, error) {
	list, err := c.Build(strings.NewReader(manifest), false)
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, info := range list {
		obj := objectOf(info)
		r, known := c.View.Get(c.Owner.Kind, keyOf(info))
		if c.isPart(obj) && !disabled(obj) && (!known || !r.Frozen) {
			out = append(out, obj)
		}
	}
	return out, nil
}

func disabled(obj *unstructured.Unstructured) bool {
	for _, said := range []map[string]string{obj.GetAnnotations(), obj.GetLabels()} {
		if strings.EqualFold(said[helmv2.DriftDetectionAnnotation], helmv2.DriftDetectionDisabled) {
			return true
		}
	}
	return false
}

// Drift is what differs from a release's manifest.
type Drift struct {
	client  *Client
	request apply.Request
	plan    apply.Plan
}

// Changes are the objects that drifted, with their fields, in order.
func (d *Drift) Changes() []apply.Change {
	var out []apply.Change
	for _, change := range d.plan.Changes() {
		if change.Writes() {
			out = append(out, change)
		}
	}
	return out
}

// String names objects and fields as users see them, "" without drift.
func (d *Drift) String() string {
	var lines []string
	for _, change := range d.Changes() {
		fields := make([]string, len(change.Fields))
		for i, f := range change.Fields {
			fields[i] = f.String()
		}
		switch {
		case change.Action == apply.Created:
			lines = append(lines, change.Key.String()+" was deleted")
		case len(fields) == 0:
			lines = append(lines, change.Key.String()+" changed")
		default:
			lines = append(lines, change.Key.String()+" changed: "+strings.Join(fields, ", "))
		}
	}
	return strings.Join(lines, "\n")
}

// Known is what is known of the objects that did not drift, for the next look.
func (d *Drift) Known() map[kube.Key]apply.Written { return d.plan.Known() }

// Correct writes the objects that drifted, and no others, in the way in which the
// release is applied.
func (d *Drift) Correct() error {
	if d.client.ServerSide {
		result, err := d.client.applier.Run(d.client.ctx, d.request, d.plan)
		d.client.keep(result)
		return err
	}
	drifted := d.request
	drifted.Objects = nil
	for _, change := range d.Changes() {
		drifted.Objects = append(drifted.Objects, change.Object())
	}
	result, err := d.client.applier.Merge(d.client.ctx, drifted, nil, false)
	d.client.keep(result)
	return err
}
