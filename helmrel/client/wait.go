package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	helmkube "helm.sh/helm/v3/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

var (
	jobKind = schema.GroupKind{Group: "batch", Kind: "Job"}
	podKind = schema.GroupKind{Kind: "Pod"}
)

// legacy are the kinds that Helm 3 waits for (kube.ReadyChecker); any other is
// ready once it is there.
var legacy = map[schema.GroupKind]bool{
	podKind: true, jobKind: true,
	{Kind: "PersistentVolumeClaim"}: true, {Kind: "Service"}: true, {Kind: "ReplicationController"}: true,
	{Group: "apps", Kind: "Deployment"}: true, {Group: "apps", Kind: "DaemonSet"}: true,
	{Group: "apps", Kind: "StatefulSet"}: true, {Group: "apps", Kind: "ReplicaSet"}: true,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true,
}

// Wait implements kube.Interface: until all is as its spec says, Jobs aside.
func (c *Client) Wait(resources helmkube.ResourceList, timeout time.Duration) error {
	return c.wait(resources, timeout, false)
}

// WaitWithJobs implements kube.Interface: Jobs have to complete, too.
func (c *Client) WaitWithJobs(resources helmkube.ResourceList, timeout time.Duration) error {
	return c.wait(resources, timeout, true)
}

func (c *Client) wait(resources helmkube.ResourceList, timeout time.Duration, jobs bool) error {
	ctx, cancel := context.WithTimeoutCause(c.ctx, timeout, errTimeout)
	defer cancel()
	var keys []kube.Key
	for _, key := range keysOf(resources) {
		if (jobs || key.GroupKind != jobKind) && (!c.Legacy || legacy[key.GroupKind]) {
			keys = append(keys, key)
		}
	}
	if err := c.lookAnew(ctx, keys); err != nil {
		return err
	}
	defer failpoint.Hit("release.ready")
	return c.until(ctx, keys, func() (string, error) { return c.unready(keys) })
}

// lookAnew has objects judged by the checks of this action that the view judged by
// others before.
func (c *Client) lookAnew(ctx context.Context, keys []kube.Key) error {
	for _, key := range keys {
		if !c.Checks.Covers(key.GVK()) {
			continue
		}
		obj, err := c.Cluster.Get(ctx, key)
		switch {
		case err == nil:
			c.View.Observe(c.Owner.Kind, obj)
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("%s: look at its health: %w", key, err)
		}
	}
	return nil
}

// unready names what is not as its spec says, "" when all is. What has failed is an
// error at once, but for the legacy way of waiting.
func (c *Client) unready(keys []kube.Key) (string, error) {
	var waiting, failed []string
	for _, key := range keys {
		switch v := c.verdict(key); {
		case v.Status == health.Current:
		case v.Status == health.Failed && !c.Legacy:
			failed = append(failed, text(key, v))
		default:
			waiting = append(waiting, text(key, v))
		}
	}
	if len(failed) > 0 {
		slices.Sort(failed)
		return "", errors.New("health check failed: " + strings.Join(failed, ", "))
	}
	slices.Sort(waiting)
	return strings.Join(waiting, ", "), nil
}

func (c *Client) verdict(key kube.Key) health.Verdict {
	r, known := c.View.Get(c.Owner.Kind, key)
	switch {
	case !known:
		return health.Verdict{Status: health.NotFound}
	case r.Deleting:
		return health.Verdict{Status: health.Terminating}
	default:
		return r.Health
	}
}

// taken is for what the server has to digest before what depends on it can be
// applied.
func (c *Client) taken(keys []kube.Key) func() (string, error) {
	return func() (string, error) {
		var waiting []string
		for _, key := range keys {
			r, known := c.View.Get(c.Owner.Kind, key)
			if known && !r.Deleting && r.Health.Status == health.Current || !known {
				continue // one that had to go is gone
			}
			waiting = append(waiting, text(key, r.Health))
		}
		return strings.Join(waiting, ", "), nil
	}
}

var errTimeout = errors.New("timeout")

// until waits for events of the objects until waiting has nothing left to name. It
// blocks its own goroutine, that of the action, and no worker.
func (c *Client) until(ctx context.Context, keys []kube.Key, waiting func() (string, error)) error {
	woken := make(chan struct{}, 1)
	stop := c.View.Listen(keys, func(live.Change) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer stop()
	for {
		left, err := waiting()
		if err != nil || left == "" {
			return err
		}
		if c.Waits != nil {
			c.Waits()
		}
		select {
		case <-woken:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errTimeout) {
				return fmt.Errorf("timeout waiting for: %s", left)
			}
			return fmt.Errorf("stopped while waiting for %s: %w", left, context.Cause(ctx))
		}
	}
}

// WatchUntilReady implements kube.Interface: Jobs and Pods of hooks run to their
// end. Other kinds are ready once they are there.
func (c *Client) WatchUntilReady(resources helmkube.ResourceList, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(c.ctx, timeout, errTimeout)
	defer cancel()
	var runs []*unstructured.Unstructured
	var keys []kube.Key
	for _, info := range resources {
		if key := keyOf(info); key.GroupKind == jobKind || key.GroupKind == podKind {
			runs, keys = append(runs, objectOf(info)), append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	e := &endings{last: map[kube.Key]health.Verdict{}}
	defer c.View.Listen(keys, e.hear)()
	if err := c.follow(ctx, keys); err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // ends a watch; nothing is lost with an error
	defer failpoint.Hit("release.ran")
	return c.until(ctx, keys, func() (string, error) { return c.running(ctx, runs, e) })
}

// follow follows objects by name and waits for the first answers.
func (c *Client) follow(ctx context.Context, keys []kube.Key) error {
	if err := c.View.Follow(c.hooks(), keys...); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := c.View.Object(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// endings remember the last verdict of objects that may be gone the next moment.
type endings struct {
	mu   sync.Mutex
	last map[kube.Key]health.Verdict
}

func (e *endings) hear(c live.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := c.Record(); r.Health.Status != health.Terminating {
		e.last[r.Key] = r.Health
	}
}

func (e *endings) of(key kube.Key) health.Verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last[key]
}

// running names the hooks that have not ended yet.
func (c *Client) running(ctx context.Context, runs []*unstructured.Unstructured, e *endings) (string, error) {
	var waiting []string
	for _, run := range runs {
		key := kube.KeyOf(run)
		obj, err := c.View.Object(ctx, key)
		if err != nil {
			return "", err
		}
		v, ended := ending(run, obj, e.of(key))
		switch {
		case v.Status == health.Failed:
			return "", errors.New(text(key, v))
		case !ended && obj == nil:
			return "", fmt.Errorf("%s: %w", key, ErrDeleted)
		case !ended:
			waiting = append(waiting, text(key, v))
		}
	}
	return strings.Join(waiting, ", "), nil
}

// ending tells how a hook ended, if it did. One that its own
// ttlSecondsAfterFinished has removed has succeeded, unless it was seen to fail.
func ending(made, now *unstructured.Unstructured, last health.Verdict) (health.Verdict, bool) {
	if now != nil {
		v := health.Of(now)
		if kube.KeyOf(now).GroupKind == podKind && v.Status == health.Current {
			phase, _, _ := unstructured.NestedString(now.Object, "status", "phase")
			return health.Verdict{Status: health.InProgress, Message: "Pod is running"}, phase == string(corev1.PodSucceeded)
		}
		return v, v.Status == health.Current
	}
	if last.Status == health.Failed {
		return last, true
	}
	_, expires, _ := unstructured.NestedFieldNoCopy(made.Object, "spec", "ttlSecondsAfterFinished")
	return last, expires || last.Status == health.Current && kube.KeyOf(made).GroupKind == jobKind
}

// WaitForDelete implements kube.InterfaceExt.
func (c *Client) WaitForDelete(resources helmkube.ResourceList, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(c.ctx, timeout, errTimeout)
	defer cancel()
	var keys []kube.Key
	c.mu.Lock()
	for _, key := range keysOf(resources) {
		if !c.gone[key] && !c.absent[key] {
			keys = append(keys, key)
		}
	}
	c.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	if err := c.follow(ctx, keys); err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // ends a watch; nothing is lost with an error
	return c.until(ctx, keys, func() (string, error) {
		var left []string
		for _, key := range keys {
			obj, err := c.View.Object(ctx, key)
			if err != nil {
				return "", err
			}
			if obj != nil {
				left = append(left, key.String()+" to be gone")
			}
		}
		return strings.Join(left, ", "), nil
	})
}

// WaitAndGetCompletedPodPhase implements kube.Interface.
func (c *Client) WaitAndGetCompletedPodPhase(name string, timeout time.Duration) (corev1.PodPhase, error) {
	ctx, cancel := context.WithTimeoutCause(c.ctx, timeout, errTimeout)
	defer cancel()
	key := kube.Key{ObjMetadata: object.ObjMetadata{Namespace: c.Namespace, Name: name, GroupKind: podKind}, Version: "v1"}
	if err := c.follow(ctx, []kube.Key{key}); err != nil {
		return corev1.PodUnknown, err
	}
	defer func() { _ = c.Close() }() // ends a watch; nothing is lost with an error
	phase := corev1.PodUnknown
	err := c.until(ctx, []kube.Key{key}, func() (string, error) {
		pod, err := c.View.Object(ctx, key)
		if err != nil || pod == nil {
			return key.String(), err
		}
		now, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		if phase = corev1.PodPhase(now); phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			return "", nil
		}
		return key.String(), nil
	})
	return phase, err
}

func text(key kube.Key, v health.Verdict) string {
	if v.Message == "" {
		return fmt.Sprintf("%s (%s)", key, v.Status)
	}
	return fmt.Sprintf("%s (%s: %s)", key, v.Status, v.Message)
}
