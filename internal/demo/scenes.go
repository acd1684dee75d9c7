package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/plumb-gitops/plumb/internal/kube"
)

var (
	configMaps  = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	deployments = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	leases      = schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}
	releases    = schema.GroupVersionKind{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"}
	events      = schema.GroupVersionKind{Version: "v1", Kind: "Event"}
)

// commit changes a file and waits until the cluster has it.
func (d *demo) commit(ctx context.Context) error {
	banner := filepath.Join(d.work(), "apps/staging/podinfo/banner.yaml")
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: banner\ndata:\n  text: hello from the second commit\n"
	if err := os.WriteFile(banner, []byte(text), 0o600); err != nil {
		return err
	}
	if err := d.push(ctx, "greet"); err != nil {
		return err
	}
	begun := time.Now()
	err := d.cluster.until(ctx, configMaps, "podinfo", "banner", func(obj *unstructured.Unstructured) bool {
		have, _, _ := unstructured.NestedString(obj.Object, "data", "text")
		return have == "hello from the second commit"
	})
	fmt.Printf("   ConfigMap/podinfo/banner has it %.1f s after the push (the source is looked at every 2 s)\n", time.Since(begun).Seconds())
	return err
}

// upgrade changes a value of a release and waits until it has been upgraded.
func (d *demo) upgrade(ctx context.Context) error {
	values := filepath.Join(d.work(), "apps/staging/shop/values.yaml")
	text, err := os.ReadFile(values)
	if err != nil {
		return err
	}
	if err := os.WriteFile(values, bytes.Replace(text, []byte("welcome to staging"), []byte("hello again"), 1), 0o600); err != nil {
		return err
	}
	if err := d.push(ctx, "another message"); err != nil {
		return err
	}
	begun := time.Now()
	err = d.cluster.until(ctx, releases, "cluster-config", "shop", func(obj *unstructured.Unstructured) bool {
		history, _, _ := unstructured.NestedSlice(obj.Object, "status", "history")
		if len(history) == 0 {
			return false
		}
		newest, _ := history[0].(map[string]any)
		return fmt.Sprintf("%v %v", newest["version"], newest["status"]) == "2 deployed"
	})
	fmt.Printf("   HelmRelease/cluster-config/shop is at revision 2 %.1f s after the push; helm history shop -n cluster-config shows both\n", time.Since(begun).Seconds())
	return err
}

// drift changes the cluster behind Plumb's back.
func (d *demo) drift(ctx context.Context) error {
	resource, err := d.cluster.Resource(deployments, "podinfo")
	if err != nil {
		return err
	}
	begun := time.Now()
	_, err = resource.Patch(ctx, "podinfo", types.MergePatchType, []byte(`{"spec":{"replicas":9}}`), metav1.PatchOptions{FieldManager: "kubectl-scale"})
	if err != nil {
		return err
	}
	err = d.cluster.until(ctx, deployments, "podinfo", "podinfo", func(obj *unstructured.Unstructured) bool {
		replicas, _, _ := unstructured.NestedInt64(obj.Object, "spec", "replicas")
		return replicas == 2
	})
	if err != nil {
		return err
	}
	fmt.Printf("   back at 2 replicas after %.0f ms\n", float64(time.Since(begun).Microseconds())/1000)
	return d.cluster.event(ctx, "cluster-config", "DriftCorrected")
}

// prune removes a file and waits until its object is gone.
func (d *demo) prune(ctx context.Context) error {
	staging := filepath.Join(d.work(), "apps/staging/podinfo")
	if err := os.Remove(filepath.Join(staging, "banner.yaml")); err != nil {
		return err
	}
	text := "namespace: podinfo\nresources:\n- ../../base/podinfo\npatches:\n- path: replicas.yaml\n"
	if err := os.WriteFile(filepath.Join(staging, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	if err := d.push(ctx, "no banner"); err != nil {
		return err
	}
	begun := time.Now()
	err := d.cluster.until(ctx, configMaps, "podinfo", "banner", nil)
	fmt.Printf("   ConfigMap/podinfo/banner is gone %.1f s after the push; everything else stayed\n", time.Since(begun).Seconds())
	return err
}

// cluster is what the scenes need of the cluster.
type cluster struct{ *kube.Cluster }

func connect() (*cluster, error) {
	config, err := kube.LoadConfig("", "", "demo")
	if err != nil {
		return nil, err
	}
	c, err := kube.Connect(config)
	return &cluster{c}, err
}

// lease waits until the engine has taken the cluster.
func (c *cluster) lease(ctx context.Context) error {
	return c.until(ctx, leases, "kube-system", "plumb-engine", func(obj *unstructured.Unstructured) bool {
		holder, _, _ := unstructured.NestedString(obj.Object, "spec", "holderIdentity")
		return holder != ""
	})
}

// event prints the first event with a reason.
func (c *cluster) event(ctx context.Context, namespace, reason string) error {
	return c.watch(ctx, events, namespace, "reason="+reason, nil, func(e watch.Event) bool {
		obj, ok := e.Object.(*unstructured.Unstructured)
		if ok {
			fmt.Printf("   event %s: %s\n", reason, obj.Object["message"])
		}
		return ok
	})
}

// until watches one object until done says so, or, without done, until it is gone.
func (c *cluster) until(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string, done func(*unstructured.Unstructured) bool) error {
	gone := func(store cache.Store) (bool, error) { return done == nil && len(store.List()) == 0, nil }
	return c.watch(ctx, gvk, namespace, fields.OneTermEqualSelector("metadata.name", name).String(), gone, func(e watch.Event) bool {
		if done == nil || e.Type == watch.Deleted {
			return done == nil && e.Type == watch.Deleted
		}
		obj, ok := e.Object.(*unstructured.Unstructured)
		return ok && done(obj)
	})
}

func (c *cluster) watch(ctx context.Context, gvk schema.GroupVersionKind, namespace, selector string, first watchtools.PreconditionFunc, done func(watch.Event) bool) error {
	resource, err := c.Resource(gvk, namespace)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return resource.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return resource.Watch(ctx, o)
		},
	}
	_, err = watchtools.UntilWithSync(ctx, lw, &unstructured.Unstructured{}, first, func(e watch.Event) (bool, error) { return done(e), nil })
	return err
}
