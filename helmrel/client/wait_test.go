package client

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	if text == "" {
		return nil
	}
	obj := &unstructured.Unstructured{}
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = obj.UnmarshalJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

const (
	job      = `{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {}`
	pod      = `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}`
	expiring = `{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {ttlSecondsAfterFinished: 0}}`
)

// A hook ends when its Job or Pod has; one that is gone has ended well only where it
// removes itself, or was seen to.
func TestEnding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		made, now string
		last      health.Verdict
		status    health.Status
		ended     bool
	}{
		"a Job that runs":              {job + "}", job + `, status: {active: 1, startTime: "2026-01-01T00:00:00Z"}}`, health.Verdict{}, health.InProgress, false},
		"a Job that completed":         {job + "}", job + `, status: {conditions: [{type: Complete, status: "True"}]}}`, health.Verdict{}, health.Current, true},
		"a Job that failed":            {job + "}", job + `, status: {conditions: [{type: Failed, status: "True", message: broken}]}}`, health.Verdict{}, health.Failed, false},
		"a Pod that runs":              {pod + "}", pod + `, status: {phase: Running, conditions: [{type: Ready, status: "True"}]}}`, health.Verdict{}, health.InProgress, false},
		"a Pod that succeeded":         {pod + "}", pod + `, status: {phase: Succeeded}}`, health.Verdict{}, health.InProgress, true},
		"a Pod that failed":            {pod + "}", pod + `, status: {phase: Failed}}`, health.Verdict{}, health.Failed, false},
		"gone by itself":               {expiring, "", health.Verdict{}, "", true},
		"gone by itself, after a fail": {expiring, "", health.Verdict{Status: health.Failed}, health.Failed, true},
		"gone after it completed":      {job + "}", "", health.Verdict{Status: health.Current}, health.Current, true},
		"deleted while it ran":         {job + "}", "", health.Verdict{Status: health.InProgress}, health.InProgress, false},
		"a Pod that was deleted":       {pod + "}", "", health.Verdict{Status: health.Current}, health.Current, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, ended := ending(parse(t, c.made), parse(t, c.now), c.last)
			if v.Status != c.status || ended != c.ended {
				t.Errorf("got %s, %v, want %s, %v", v.Status, ended, c.status, c.ended)
			}
		})
	}
}

// The last verdict before the end is kept, not that of the deletion.
func TestEndingsRemember(t *testing.T) {
	t.Parallel()
	e := &endings{last: map[kube.Key]health.Verdict{}}
	record := func(status health.Status) *live.Record { return &live.Record{Health: health.Verdict{Status: status}} }
	e.hear(live.Change{New: record(health.InProgress)})
	e.hear(live.Change{Old: record(health.InProgress), New: record(health.Failed)})
	e.hear(live.Change{Old: record(health.Failed), New: record(health.Terminating)})
	e.hear(live.Change{Old: record(health.Terminating)})
	if got := e.of(kube.Key{}).Status; got != health.Failed {
		t.Errorf("got %s", got)
	}
}

// What may be different when it is time to write does not end an action before.
func TestPasses(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "configmaps"}
	missing, denied := apierrors.NewNotFound(resource, "a"), apierrors.NewForbidden(resource, "a", errors.New("no"))
	invalid := apierrors.NewBadRequest("no")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing": {nil, false}, "a namespace": {missing, true}, "a right": {denied, true}, "both": {errors.Join(missing, denied), true},
		"a bad object": {invalid, false}, "one of them": {errors.Join(missing, invalid), false},
	} {
		if got := passes(c.err); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	c := &Client{Options: Options{Namespace: "shop"}}
	own := parse(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {name: shop}}}`)
	other := parse(t, `{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {name: other}}}`)
	hook := parse(t, `{apiVersion: v1, kind: Pod, metadata: {name: a, annotations: {helm.sh/hook: test}}}`)
	if c.isPart(own) || c.isPart(hook) || !c.isPart(other) {
		t.Error("hooks and the namespace of the release are no parts of it, other namespaces are")
	}
}
