package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// replicasAnnotation on a Deployment of the toolkit says how many replicas it had
// before Plumb took over.
const replicasAnnotation = "plumb-gitops.github.io/replicas-before"

// rivalNames are the controllers whose work Plumb does: those of the toolkit, and
// that of Azure's extension.
var rivalNames = []string{"fluxconfig-controller", "helm-controller", "kustomize-controller", "source-controller"}

// controller is a Deployment of one of them.
type controller struct {
	key      kube.Key
	replicas int64
	before   int64  // replicas when Plumb took over, 0 when it did not
	owner    string // namespace/name of the Kustomization that applies it, "" for none
}

// rivalsOf are the controllers that run.
func rivalsOf(ctx context.Context, cluster *kube.Cluster) ([]controller, error) {
	all, err := controllersOf(ctx, cluster)
	return slices.DeleteFunc(all, func(c controller) bool { return c.replicas == 0 }), err
}

// controllersOf are the controllers that are installed, running or not.
func controllersOf(ctx context.Context, cluster *kube.Cluster) ([]controller, error) {
	resource, err := cluster.Resource(deploymentKind, "")
	if err != nil {
		return nil, err
	}
	var out []controller
	for _, name := range rivalNames {
		found, err := resource.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
		if err != nil {
			return nil, fmt.Errorf("look for running controllers: %w", err)
		}
		for n := range found.Items {
			if d := &found.Items[n]; isController(d) {
				out = append(out, controllerOf(d))
			}
		}
	}
	slices.SortFunc(out, func(a, b controller) int { return strings.Compare(a.key.String(), b.key.String()) })
	return out, nil
}

// isController tells a controller from something else of that name: by the label of
// the toolkit's own manifests, or by an image that is called like it.
func isController(d *unstructured.Unstructured) bool {
	if d.GetLabels()["app.kubernetes.io/part-of"] == "flux" {
		return true
	}
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers") // its form is the API server's
	return slices.ContainsFunc(containers, func(c any) bool {
		of, _ := c.(map[string]any)
		image, _ := of["image"].(string)
		name, _, _ := strings.Cut(path.Base(strings.SplitN(image, "@", 2)[0]), ":")
		return name == d.GetName()
	})
}

func controllerOf(d *unstructured.Unstructured) controller {
	c := controller{key: deploymentKey(d.GetNamespace(), d.GetName())}
	c.replicas, _, _ = unstructured.NestedInt64(d.Object, "spec", "replicas")
	c.before, _ = strconv.ParseInt(d.GetAnnotations()[replicasAnnotation], 10, 64)
	if name := d.GetLabels()[kustomizev1.NameLabel]; name != "" {
		c.owner = d.GetLabels()[kustomizev1.NamespaceLabel] + "/" + name
	}
	return c
}

// controllerNames are their namespaces and names, for messages.
func controllerNames(all []controller) string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.key.Namespace + "/" + c.key.Name
	}
	return strings.Join(names, ", ")
}

func besideError(rivals []controller) error {
	return fmt.Errorf("other controllers work on this cluster: %s; give --takeover to scale them to zero and go on in their place, "+
		"or remove them first (an extension of Azure: az k8s-extension delete)", controllerNames(rivals))
}

// takeOver scales the controllers to zero and waits until their pods are gone. Each
// remembers how many it had, and is left alone by the Kustomization that applies
// it, which would start it again. A crash leaves a cluster on which nobody works:
// running the command again does the rest, and waits for those that were scaled before.
func (i *installation) takeOver(ctx context.Context, rivals []controller) error {
	for _, c := range rivals {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q,%q:%q}},"spec":{"replicas":0}}`,
			replicasAnnotation, strconv.FormatInt(c.replicas, 10), kustomizev1.ReconcileAnnotation, kustomizev1.DisabledValue)
		if err := patchDeployment(ctx, i.cluster, c.key, patch); err != nil {
			return err
		}
		fmt.Fprintf(i.out, "%s scaled to zero\n", c.key)
	}
	if err := i.awaitStopped(ctx); err != nil {
		return err
	}
	if len(rivals) == 0 {
		return nil
	}
	owners := map[string]bool{}
	for _, c := range rivals {
		if c.owner != "" {
			owners[c.owner] = true
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		fmt.Fprintf(i.out, "Kustomization/%s applies them: they are marked to be left alone, until their manifests leave its path\n", owner)
	}
	fmt.Fprintf(i.out, "to go back: plumb uninstall --yes --hand-back --namespace %s\n", i.options.Namespace)
	return nil
}

// awaitStopped waits until no controller that was taken over has pods any more.
func (i *installation) awaitStopped(ctx context.Context) error {
	all, err := controllersOf(ctx, i.cluster)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.before == 0 {
			continue
		}
		if err := until(ctx, i.cluster, c.key, func(now *unstructured.Unstructured) bool { return now == nil || stopped(now) }); err != nil {
			return err
		}
	}
	return nil
}

// stopped tells whether a Deployment that was scaled to zero has no pods any more.
func stopped(d *unstructured.Unstructured) bool {
	replicas, _, _ := unstructured.NestedInt64(d.Object, "status", "replicas")
	seen, _, _ := unstructured.NestedInt64(d.Object, "status", "observedGeneration")
	return replicas == 0 && seen >= d.GetGeneration()
}

// handBack starts the controllers that takeOver has stopped, as they were.
func handBack(ctx context.Context, g *global, cluster *kube.Cluster) error {
	all, err := controllersOf(ctx, cluster)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.before == 0 {
			continue
		}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null,%q:null}},"spec":{"replicas":%d}}`, replicasAnnotation, kustomizev1.ReconcileAnnotation, c.before)
		if err := patchDeployment(ctx, cluster, c.key, patch); err != nil {
			return err
		}
		fmt.Fprintf(g.out, "%s scaled to %d\n", c.key, c.before)
	}
	return nil
}

func patchDeployment(ctx context.Context, cluster *kube.Cluster, key kube.Key, patch []byte) error {
	resource, err := cluster.Resource(deploymentKind, key.Namespace)
	if err != nil {
		return err
	}
	if _, err := resource.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cliManager}); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// alone refuses to start beside the toolkit's own controllers: both would write
// the same objects as the same field manager.
func (f *engineFlags) alone(ctx context.Context, cluster *kube.Cluster) error {
	if f.takeOver {
		return nil
	}
	running, err := rivalsOf(ctx, cluster)
	if err != nil || len(running) == 0 {
		return err
	}
	return errors.New("other controllers work on this cluster: " + controllerNames(running) + "; scale them to zero, or give --take-over")
}
