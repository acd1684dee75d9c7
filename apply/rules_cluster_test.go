package apply_test

import (
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

const scaler = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: NS}
spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
`

// TestAutoscaledReplicas: they are the autoscaler's as long as there is one.
func TestAutoscaledReplicas(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set     bool // the autoscaler is in the set
		cluster bool // it is on the cluster
		off     bool // the rule is off
		want    int64
	}{
		"autoscaler in the set":         {set: true, want: 5},
		"autoscaler on the cluster":     {cluster: true, want: 5},
		"no autoscaler any more":        {want: 2},
		"a rule that is off":            {set: true, off: true, want: 2},
		"on the cluster, and rules off": {cluster: true, off: true, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.off {
				w.req.Rules = drift.Rules{}.Without(drift.HPAReplicas)
			}
			set := []string{web}
			if c.set {
				set = append(set, scaler)
			}
			if c.cluster {
				w.as("somebody", w.object(scaler))
			}
			w.apply(set...)
			key := kube.KeyOf(w.object(web))
			w.patch("kube-controller-manager", key, "scale", `{"spec":{"replicas":5}}`)
			w.settle(w.get(key))
			w.apply(set...)
			if got := w.field(w.get(key), "spec", "replicas"); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			before := w.get(key).GetGeneration()
			clear(w.known)
			w.apply(set...)
			if after := w.get(key).GetGeneration(); after != before {
				t.Errorf("another pass changed it: generation %d, then %d", before, after)
			}
		})
	}
}

// TestAutoscalerLeavesTheSet: its target is scaled by the source again, in the
// same pass.
func TestAutoscalerLeavesTheSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(web, scaler)
	key := kube.KeyOf(w.object(web))
	w.patch("kube-controller-manager", key, "scale", `{"spec":{"replicas":5}}`)
	w.settle(w.get(key))
	w.apply(web, scaler)
	change := w.expect("Deployment/web configured", web)
	if got := w.field(w.get(key), "spec", "replicas"); got != int64(2) || change.Reason != "takes over spec.replicas from kube-controller-manager" {
		t.Errorf("got %v: %+v", got, change)
	}
}

// TestKubectlScale: a person is not an autoscaler.
func TestKubectlScale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(web, scaler)
	key := kube.KeyOf(w.object(web))
	w.patch("kubectl", key, "scale", `{"spec":{"replicas":5}}`)
	w.settle(w.get(key))
	w.apply(web, scaler)
	if got := w.field(w.get(key), "spec", "replicas"); got != int64(2) {
		t.Errorf("got %v", got)
	}
}

// TestRolloutRestart: kubectl's annotation survives the takeover of its fields,
// so that pods do not restart a second time.
func TestRolloutRestart(t *testing.T) {
	t.Parallel()
	const restart = `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"%s}}}}}`
	for name, c := range map[string]struct {
		rules drift.Rules
		kept  bool
	}{"on": {drift.Rules{}, true}, "off": {drift.Rules{}.Without("rollout-restart"), false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.req.Rules = c.rules
			w.apply(web)
			w.settle(w.patch("kubectl-rollout", w.have[0], "", strings.Replace(restart, "%s", `,"by-hand":"x"`, 1)))
			for _, image := range []string{"web:2", "web:3"} {
				w.expect("Deployment/web configured", strings.Replace(web, "web:1", image, 1))
				obj := w.get(w.have[0])
				annotations, _ := w.field(obj, "spec", "template", "metadata", "annotations").(map[string]any)
				if _, kept := annotations["kubectl.kubernetes.io/restartedAt"]; kept != c.kept || annotations["by-hand"] != nil {
					t.Errorf("got %v", annotations)
				}
				if strings.Contains(managers(obj), "kubectl") {
					t.Errorf("managers are %s", managers(obj))
				}
			}
		})
	}
}

func TestInjectedBundle(t *testing.T) {
	t.Parallel()
	const hook = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NS}
webhooks:
  - {name: a.example.com, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Ignore, objectSelector: {matchLabels: {no: body}},
     rules: [{apiGroups: [none.example.com], apiVersions: [v1], operations: [CREATE], resources: [none]}],
     clientConfig: {url: "https://127.0.0.1:1/a", caBundle: Cg==}}
`
	w := newWorld(t)
	key := kube.KeyOf(w.object(hook))
	t.Cleanup(func() { w.drop(key) })
	w.apply(hook)
	injected := strings.Replace(hook, "caBundle: Cg==", "caBundle: Zm9v", 1)
	w.as("cert-manager-cainjector", w.object(injected))
	w.settle(w.get(key))
	change := w.expect("ValidatingWebhookConfiguration/"+w.ns+" configured", hook)
	webhooks := w.field(w.get(key), "webhooks").([]any)
	if got := w.field(w.get(key), "webhooks"); webhooks[0].(map[string]any)["clientConfig"].(map[string]any)["caBundle"] != "Zm9v" {
		t.Errorf("got %v", got)
	}
	if len(change.Rules) != 1 || change.Rules[0] != "webhook-ca-bundle" {
		t.Errorf("got %+v", change)
	}
	w.expect("ValidatingWebhookConfiguration/"+w.ns+" unchanged", hook)
}
