package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// workers is how many requests a floor has under way at once.
const workers = 16

// floor is what a bare loop took for objects: until the last was written, and until
// the cluster's own controllers had seen all of them.
type floor struct {
	objects          int
	written, settled time.Duration
	cpu              float64 // seconds, of the cluster and the loop
}

// bare writes objects, one request each, and nothing else: no engine can be
// faster. The Deployments among them are watched until their controller has seen
// them, so that it does not work on when the engine's turn comes.
func (l *lab) bare(ctx context.Context, namespace string, objs []*unstructured.Unstructured) (*floor, error) {
	watched, err := l.follow(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments")
	if err != nil {
		return nil, err
	}
	defer watched.stop()
	before, begun := l.cpu(), time.Now()
	if err := l.write(ctx, objs); err != nil {
		return nil, err
	}
	f := &floor{objects: len(objs), written: time.Since(begun)}
	var names []string
	for _, obj := range objs {
		if obj.GetKind() == "Deployment" {
			names = append(names, obj.GetName())
		}
	}
	f.settled = f.written
	if len(names) > 0 {
		_, err = watched.await(ctx, names, begun, seen)
		f.settled = time.Since(begun)
	}
	f.cpu = total(l.cpu().since(before))
	return f, err
}

// parallel does something for each of items, so many at once as a floor does.
func parallel[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, item := range items {
		group.Go(func() error { return do(ctx, item) })
	}
	return group.Wait()
}

// apply applies one object.
func (l *lab) apply(ctx context.Context, obj *unstructured.Unstructured) error {
	if _, err := l.cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: "bench"}); err != nil {
		return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
	}
	return nil
}

// objects reads YAML documents.
func objects(manifests string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &obj.Object); err != nil {
			return nil, err
		}
		if len(obj.Object) > 0 {
			out = append(out, obj)
		}
	}
	return out, nil
}
