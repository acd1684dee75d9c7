package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// unhealthy goes from a Kustomization down to the first object that is not as
// its spec says, and on to what its pods and their events say.
func unhealthy(ctx context.Context, r Reader, k *kustomizev1.Kustomization) ([]string, error) {
	return firstUnhealthy(ctx, r, checked(ctx, r, k))
}

// firstUnhealthy is the first of some objects that is not as its spec says, and what
// its pods and their events say.
func firstUnhealthy(ctx context.Context, r Reader, keys []kube.Key) ([]string, error) {
	for _, key := range keys {
		obj, err := get(ctx, r, key)
		if err != nil {
			return nil, err
		}
		v := health.Of(obj)
		if v.Status == health.Current {
			continue
		}
		below, err := behind(ctx, r, obj)
		return append([]string{sentence(key, v)}, below...), err
	}
	return nil, nil
}

// checked are the objects that a Kustomization waits for.
func checked(ctx context.Context, r Reader, k *kustomizev1.Kustomization) []kube.Key {
	if k.Spec.Wait {
		keys, err := stored(ctx, r, k, k.Status.Inventory)
		if err != nil {
			return nil // the engine says so in the condition
		}
		return keys
	}
	var keys []kube.Key
	for _, ref := range k.Spec.HealthChecks {
		gvk := runtimeKind(ref.APIVersion, ref.Kind)
		keys = append(keys, keyOf(gvk, cmp.Or(ref.Namespace, k.Namespace), ref.Name))
	}
	return keys
}

func sentence(key kube.Key, v health.Verdict) string {
	if v.Message == "" {
		return fmt.Sprintf("%s is %s", key, v.Status)
	}
	return fmt.Sprintf("%s is %s: %s", key, v.Status, v.Message)
}

// behind is what explains an object that is not healthy: one of its pods, and the
// newest warning about that pod, else the newest warning about the object itself.
func behind(ctx context.Context, r Reader, obj *unstructured.Unstructured) ([]string, error) {
	if obj == nil {
		return nil, nil
	}
	pod, err := brokenPod(ctx, r, obj)
	if err != nil {
		return nil, err
	}
	var lines []string
	if pod != nil {
		lines = append(lines, fmt.Sprintf("Pod/%s/%s: %s", pod.GetNamespace(), pod.GetName(), podTrouble(pod)))
		obj = pod
	}
	event, err := newestWarning(ctx, r, obj)
	if err != nil || event == "" {
		return lines, err
	}
	return append(lines, event), nil
}

// brokenPod is the first pod that an object selects and that is not ready.
func brokenPod(ctx context.Context, r Reader, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	pods, err := podsOf(ctx, r, obj)
	for i := range pods {
		if health.Of(&pods[i]).Status != health.Current {
			return &pods[i], nil
		}
	}
	return nil, err
}

// podsOf are the pods that an object selects, by name; none where it has no selector of
// that form.
func podsOf(ctx context.Context, r Reader, obj *unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	raw, found, err := unstructured.NestedMap(obj.Object, "spec", "selector")
	if err != nil || !found || raw["matchLabels"] == nil && raw["matchExpressions"] == nil {
		return nil, nil //nolint:nilerr // what has no selector of this form has no pods of its own
	}
	selector := &metav1.LabelSelector{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, selector); err != nil {
		return nil, nil //nolint:nilerr // nor has what only looks like it
	}
	pods, err := r.List(ctx, PodKind, obj.GetNamespace(), metav1.FormatLabelSelector(selector))
	if err != nil {
		return nil, fmt.Errorf("pods of %s: %w", kube.KeyOf(obj), err)
	}
	slices.SortFunc(pods, func(a, b unstructured.Unstructured) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return pods, nil
}

// podTrouble is what keeps a pod from being ready: a container that waits or has
// ended, else the verdict about the pod.
func podTrouble(pod *unstructured.Unstructured) string {
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		containers, _, _ := unstructured.NestedSlice(pod.Object, "status", list) // its form is the API server's
		for _, c := range containers {
			fields, _ := c.(map[string]any)
			for _, state := range []string{"waiting", "terminated"} {
				reason, _, _ := unstructured.NestedString(fields, "state", state, "reason")
				message, _, _ := unstructured.NestedString(fields, "state", state, "message")
				if reason != "" && reason != "Completed" {
					return fmt.Sprintf("container %v is %s: %s", fields["name"], state, joined(reason, message))
				}
			}
		}
	}
	v := health.Of(pod)
	return joined(string(v.Status), v.Message)
}

func joined(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + message
}

// newestWarning is the last warning about an object, "" when there is none.
func newestWarning(ctx context.Context, r Reader, obj *unstructured.Unstructured) (string, error) {
	events, err := r.List(ctx, EventKind, obj.GetNamespace(), "")
	if err != nil {
		return "", fmt.Errorf("events of %s: %w", kube.KeyOf(obj), err)
	}
	var newest Event
	for i := range events {
		uid, _, _ := unstructured.NestedString(events[i].Object, "involvedObject", "uid")
		e, err := EventOf(&events[i])
		if err == nil && uid == string(obj.GetUID()) && e.Type == corev1.EventTypeWarning && !e.Last.Before(newest.Last) {
			newest = e
		}
	}
	if newest.Reason == "" {
		return "", nil
	}
	return fmt.Sprintf("%s: %s: %s", kube.KeyOf(obj), newest.Reason, newest.Message), nil
}

// objectSteps is the way of an object that a Kustomization applied.
func objectSteps(ctx context.Context, r Reader, key kube.Key, obj *unstructured.Unstructured) ([]Step, error) {
	steps, err := ownerSteps(ctx, r, obj.GetLabels())
	if err != nil {
		return nil, err
	}
	own := Step{Stage: "health", Object: key.String(), State: Done}
	if v := health.Of(obj); v.Status != health.Current {
		own.State, own.Message = Blocked, joined(string(v.Status), v.Message)
		because, err := behind(ctx, r, obj)
		if err != nil {
			return nil, err
		}
		own.Because = because
	}
	return append(steps, own), nil
}

// ownerSteps are the steps of the units that an object's labels name, but for their
// health: the object's own is what was asked for.
func ownerSteps(ctx context.Context, r Reader, labels map[string]string) ([]Step, error) {
	var above []Step
	if name := labels[kustomizev1.NameLabel]; name != "" {
		steps, err := unitSteps(ctx, r, unitKey(labels[kustomizev1.NamespaceLabel], name), map[kube.Key]bool{})
		if err != nil {
			return nil, err
		}
		above = append(above, steps...)
	}
	if name := labels[helmv2.NameLabel]; name != "" {
		steps, err := releaseSteps(ctx, r, releaseKey(labels[helmv2.NamespaceLabel], name), map[kube.Key]bool{})
		if err != nil {
			return nil, err
		}
		above = append(above, steps...)
	}
	return slices.DeleteFunc(above, func(s Step) bool { return s.Stage == "health" }), nil
}
