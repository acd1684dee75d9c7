package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/plumb-gitops/plumb/api/crds"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/explain"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/preview"
)

// installation brings the objects of an installation to a cluster.
type installation struct {
	cluster  *kube.Cluster
	options  install.Options
	out      io.Writer // what was done
	progress io.Writer // what is waited for
}

// apply applies objects stage by stage, and waits for the definitions before
// anything else. Each write is complete in itself and the Deployment comes last, so
// after a crash the engine is as it was, and running the command again does the rest.
func (i *installation) apply(ctx context.Context, objs []*unstructured.Unstructured) error {
	for stage := range kube.Stages {
		var done []*unstructured.Unstructured
		for _, obj := range objs {
			if kube.Stage(obj.GroupVersionKind().GroupKind()) != stage {
				continue
			}
			now, err := i.applyOne(ctx, obj)
			if err != nil {
				return err
			}
			if health.Of(now).Status != health.Current {
				done = append(done, obj)
			}
		}
		if err := established(ctx, i.cluster, done); err != nil {
			return err
		}
	}
	return nil
}

// applyOne applies one object, says what came of it, and returns it as it is now.
func (i *installation) applyOne(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	key := kube.KeyOf(obj)
	before, err := i.cluster.Get(ctx, key)
	if err != nil && !isAbsent(err) {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	after, err := i.cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: cliManager})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, plain(err))
	}
	word := "configured"
	switch {
	case before == nil:
		word = "created"
	case before.GetResourceVersion() == after.GetResourceVersion():
		word = "unchanged"
	}
	fmt.Fprintf(i.out, "%s %s\n", key, word)
	return after, nil
}

// established waits until the definitions among the objects are served.
func established(ctx context.Context, cluster *kube.Cluster, objs []*unstructured.Unstructured) error {
	any := false
	for _, obj := range objs {
		if obj.GroupVersionKind() != definition {
			continue
		}
		any = true
		if err := until(ctx, cluster, kube.KeyOf(obj), func(now *unstructured.Unstructured) bool {
			return now != nil && health.Of(now).Status == health.Current
		}); err != nil {
			return err
		}
	}
	if !any {
		return nil
	}
	return cluster.ResetMapping()
}

// installMissing installs the definitions that the cluster does not have. What
// is there, in whichever version, stays as it is.
func installMissing(ctx context.Context, cluster *kube.Cluster, out io.Writer) error {
	all, err := crds.All()
	if err != nil {
		return err
	}
	var missing []*unstructured.Unstructured
	for _, obj := range all {
		there, err := exists(ctx, cluster, kube.KeyOf(obj))
		if err != nil {
			return err
		}
		if !there {
			missing = append(missing, obj)
		}
	}
	for _, obj := range missing {
		if _, err := cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: cliManager}); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		fmt.Fprintf(out, "%s installed\n", kube.KeyOf(obj))
	}
	return established(ctx, cluster, missing)
}

// stale are the objects of this installation that are not among those wanted: of
// another version of Plumb, or of options that it has no more. A volume is left for
// the pods that may still use it, and a namespace for whatever else is in it.
func (i *installation) stale(ctx context.Context, wanted []*unstructured.Unstructured) ([]kube.Key, error) {
	have, err := belonging(ctx, i.cluster, i.options.Namespace)
	if err != nil {
		return nil, err
	}
	keep := map[kube.Key]bool{}
	for _, obj := range wanted {
		keep[kube.KeyOf(obj)] = true
	}
	return slices.DeleteFunc(have, func(key kube.Key) bool {
		return keep[key] || key.GroupKind.Kind == "Namespace" || key.GroupKind.Kind == "PersistentVolumeClaim"
	}), nil
}

// belonging are the objects that carry the labels of the installation in a
// namespace, in the order in which they can be removed.
func belonging(ctx context.Context, cluster *kube.Cluster, namespace string) ([]kube.Key, error) {
	selector := labels.SelectorFromSet(install.Labels(namespace)).String()
	var out []kube.Key
	for _, gvk := range install.Kinds() {
		resource, err := cluster.Resource(gvk, "")
		if err != nil {
			return nil, err
		}
		list, err := resource.List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, fmt.Errorf("look for what is installed: %w", err)
		}
		for n := range list.Items {
			list.Items[n].SetGroupVersionKind(gvk)
			out = append(out, kube.KeyOf(&list.Items[n]))
		}
	}
	return out, nil
}

// dropStale removes what is stale, rights that are not needed any more among it.
func (i *installation) dropStale(ctx context.Context, wanted []*unstructured.Unstructured) error {
	stale, err := i.stale(ctx, wanted)
	if err != nil {
		return err
	}
	for _, key := range stale {
		if err := remove(ctx, i.out, i.cluster, key); err != nil {
			return err
		}
	}
	return nil
}

// compare prints what apply would change.
func (i *installation) compare(ctx context.Context, objs []*unstructured.Unstructured, rivals []controller) error {
	var changes []preview.Change
	for _, obj := range objs {
		c, err := i.compareOne(ctx, obj)
		if err != nil {
			return err
		}
		if c != nil {
			changes = append(changes, *c)
		}
	}
	stale, err := i.stale(ctx, objs)
	if err != nil {
		return err
	}
	for _, key := range stale {
		changes = append(changes, preview.Change{Object: key.String(), Action: "deleted"})
	}
	for _, r := range rivals {
		changes = append(changes, preview.Change{Object: r.key.String(), Action: "configured", Fields: []drift.Difference{
			{Path: "spec.replicas", Before: fmt.Sprint(r.replicas), After: "0"},
		}})
	}
	preview.Sort(changes)
	if len(changes) == 0 {
		fmt.Fprintln(i.out, "no difference")
	}
	printChanges(i.out, preview.Difference{Changes: changes})
	return nil
}

// compareOne asks the server by a dry run what an object would become. One whose
// namespace is not there yet can't be asked about, and is new.
func (i *installation) compareOne(ctx context.Context, obj *unstructured.Unstructured) (*preview.Change, error) {
	key := kube.KeyOf(obj)
	before, err := i.cluster.Get(ctx, key)
	if err != nil && !isAbsent(err) {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	after, err := i.cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: cliManager, DryRun: true})
	if err != nil && !isAbsent(err) {
		return nil, fmt.Errorf("%s: %w", key, plain(err))
	}
	if before == nil {
		return &preview.Change{Object: key.String(), Action: "created"}, nil
	}
	if fields := drift.Differences(before, after, ""); len(fields) > 0 {
		return &preview.Change{Object: key.String(), Action: "configured", Fields: fields}, nil
	}
	return nil, nil
}

// errRollout says that waiting longer does not help.
var errRollout = errors.New("the rollout has failed")

// ready waits until the Deployment is as it should be, and says what it waits for.
func (i *installation) ready(ctx context.Context) error {
	key := deploymentKey(i.options.Namespace, install.Name)
	var last health.Verdict
	err := until(ctx, i.cluster, key, func(now *unstructured.Unstructured) bool {
		v := health.Of(now)
		if v != last && v.Status != health.Current {
			fmt.Fprintf(i.progress, "waiting for %s: %s\n", key, v.Message)
		}
		last = v
		return v.Status == health.Current || v.Status == health.Failed
	})
	if err == nil && last.Status == health.Failed {
		err = fmt.Errorf("%s: %w: %s", key, errRollout, last.Message)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, i.trouble(context.WithoutCancel(ctx), key))
	}
	fmt.Fprintf(i.out, "%s is ready\n", key)
	return nil
}

// trouble is what the pods say, for an error; "" when they say nothing.
func (i *installation) trouble(ctx context.Context, key kube.Key) string {
	text := ""
	for _, line := range podTroubles(ctx, i.cluster, key.Namespace) {
		text += "\n  " + line
	}
	return text
}

// podTroubles are why the engine's pods are not ready, one line for each.
func podTroubles(ctx context.Context, cluster *kube.Cluster, namespace string) []string {
	resource, err := cluster.Resource(explain.PodKind, namespace)
	if err != nil {
		return nil
	}
	pods, err := resource.List(ctx, metav1.ListOptions{LabelSelector: enginePods})
	if err != nil {
		return nil
	}
	var out []string
	for n := range pods.Items {
		pod := &pods.Items[n]
		if text := explain.PodTrouble(pod); text != "" {
			out = append(out, fmt.Sprintf("Pod/%s/%s: %s", pod.GetNamespace(), pod.GetName(), text))
		}
	}
	return out
}
