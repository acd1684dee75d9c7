package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/api/crds"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	apimeta "github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// definedKinds are the kinds that our definitions define, by file name, each in the
// version that the cluster stores.
func definedKinds() ([]schema.GroupVersionKind, error) {
	definitions, err := crds.All()
	if err != nil {
		return nil, err
	}
	var out []schema.GroupVersionKind
	for _, obj := range definitions {
		def := apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &def); err != nil {
			return nil, fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		for _, v := range def.Spec.Versions {
			if v.Storage {
				out = append(out, schema.GroupVersionKind{Group: def.Spec.Group, Version: v.Name, Kind: def.Spec.Names.Kind})
			}
		}
	}
	return out, nil
}

// listKind lists the objects of one of our kinds in all namespaces; none where the
// cluster does not serve it.
func listKind(ctx context.Context, cluster *kube.Cluster, gvk schema.GroupVersionKind) ([]unstructured.Unstructured, error) {
	resource, err := cluster.Resource(gvk, "")
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := resource.List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // its definition went a moment ago
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", gvk.Kind, err)
	}
	return found.Items, nil
}

// tally is how many objects there are, by kind.
type tally map[string]int

// String is "2 GitRepositories and so on" in words that stay the same.
func (t tally) String() string {
	var out []string
	for kind, n := range t {
		out = append(out, fmt.Sprintf("%s (%d)", kind, n))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// configurationsOf counts what there is of our kinds.
func configurationsOf(ctx context.Context, cluster *kube.Cluster) (tally, error) {
	kinds, err := definedKinds()
	if err != nil {
		return nil, err
	}
	out := tally{}
	for _, gvk := range kinds {
		found, err := listKind(ctx, cluster, gvk)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			out[gvk.Kind] = len(found)
		}
	}
	return out, nil
}

// takedown is the order in which kinds go: first what generates others, then what
// applies objects, and sources last, without which nothing could be taken down.
var takedown = []string{"FluxConfig", kustomizev1.KustomizationKind, "HelmRelease"}

// takeDownAll deletes the configurations, kind by kind, and waits until the engine
// has let each go. A unit that another one applied goes with that.
func takeDownAll(ctx context.Context, g *global, cluster *kube.Cluster) error {
	kinds, err := definedKinds()
	if err != nil {
		return err
	}
	slices.SortStableFunc(kinds, func(a, b schema.GroupVersionKind) int { return takedownRank(a.Kind) - takedownRank(b.Kind) })
	for _, gvk := range kinds {
		found, err := listKind(ctx, cluster, gvk)
		if err != nil {
			return err
		}
		for _, obj := range slices.Concat(filter(found, isRoot), filter(found, func(o *unstructured.Unstructured) bool { return !isRoot(o) })) {
			obj.SetGroupVersionKind(gvk)
			if err := remove(ctx, g.out, cluster, kube.KeyOf(&obj)); err != nil {
				return fmt.Errorf("%w; what it says of itself: %s", err, readyMessage(context.WithoutCancel(ctx), cluster, kube.KeyOf(&obj)))
			}
		}
	}
	return nil
}

func takedownRank(kind string) int {
	if i := slices.Index(takedown, kind); i >= 0 {
		return i
	}
	return len(takedown)
}

// isRoot tells whether no Kustomization has applied an object.
func isRoot(obj *unstructured.Unstructured) bool { return obj.GetLabels()[kustomizev1.NameLabel] == "" }

func filter(objs []unstructured.Unstructured, keep func(*unstructured.Unstructured) bool) (out []unstructured.Unstructured) {
	for i := range objs {
		if keep(&objs[i]) {
			out = append(out, objs[i])
		}
	}
	return out
}

// readyMessage is what the Ready condition of an object says.
func readyMessage(ctx context.Context, cluster *kube.Cluster, key kube.Key) string {
	obj, err := cluster.Get(ctx, key)
	if err != nil {
		return "nothing"
	}
	i, err := itemOf(obj)
	if err != nil {
		return "nothing"
	}
	if c := meta.FindStatusCondition(i.Status.Conditions, "Ready"); c != nil {
		return c.Message
	}
	return "nothing"
}

// ourFinalizers are those that Plumb and the toolkit's controllers set.
var ourFinalizers = []string{apimeta.Finalizer, clusterconfigv1.Finalizer}

// releaseAll takes our finalizers off our objects: nobody is left to honour them. Those
// of others are honoured by others, so they stay; kept names the objects with such ones.
func releaseAll(ctx context.Context, cluster *kube.Cluster) (kept []string, err error) {
	kinds, err := definedKinds()
	if err != nil {
		return nil, err
	}
	for _, gvk := range kinds {
		found, err := listKind(ctx, cluster, gvk)
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].SetGroupVersionKind(gvk)
			left, err := release(ctx, cluster, kube.KeyOf(&found[i]))
			if err != nil {
				return nil, err
			}
			if len(left) > 0 {
				kept = append(kept, fmt.Sprintf("%s (%s)", kube.KeyOf(&found[i]), strings.Join(left, ", ")))
			}
		}
	}
	return kept, nil
}

// release takes our finalizers off an object, and returns those that are left. The
// resource version makes sure that none of others is lost that comes meanwhile.
func release(ctx context.Context, cluster *kube.Cluster, key kube.Key) (left []string, err error) {
	one, err := cluster.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return nil, err
	}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		obj, err := one.Get(ctx, key.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		all := obj.GetFinalizers()
		left = slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(ourFinalizers, name) })
		if len(left) == len(all) {
			return nil
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": left, "resourceVersion": obj.GetResourceVersion()}})
		if err != nil {
			return err
		}
		_, err = one.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cliManager})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: take the finalizer off: %w", key, err)
	}
	return left, nil
}

// dropDefinitions removes them, and with them what there is of our kinds. What others hold
// goes, and its definition with it, once those let go of it: that is told, and waited for.
func dropDefinitions(ctx context.Context, out io.Writer, cluster *kube.Cluster) error {
	kept, err := releaseAll(ctx, cluster)
	if err != nil {
		return err
	}
	for _, what := range kept {
		fmt.Fprintf(out, "%s is kept by finalizers that are not Plumb's\n", what)
	}
	all, err := crds.All()
	if err != nil {
		return err
	}
	var going []*unstructured.Unstructured
	for _, obj := range all { // all of them before any is waited for
		there, err := exists(ctx, cluster, kube.KeyOf(obj))
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if _, err := cluster.Delete(ctx, kube.KeyOf(obj), "", ""); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		going = append(going, obj)
	}
	for _, obj := range going {
		err := until(ctx, cluster, kube.KeyOf(obj), func(now *unstructured.Unstructured) bool { return now == nil })
		if err != nil && len(kept) > 0 {
			err = fmt.Errorf("%w: finalizers that are not Plumb's keep %s: have those who set them take them off, or take them off yourself", err, strings.Join(kept, "; "))
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s removed\n", kube.KeyOf(obj))
	}
	return nil
}
