package explain

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// objects are what a cluster has.
type objects map[kube.Key]*unstructured.Unstructured

func (o objects) Get(_ context.Context, key kube.Key) (*unstructured.Unstructured, error) {
	if obj, ok := o[key]; ok {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: key.GroupKind.Kind}, key.Name)
}

func (o objects) List(_ context.Context, gvk schema.GroupVersionKind, namespace, selector string) ([]unstructured.Unstructured, error) {
	wanted, err := labels.Parse(selector)
	var out []unstructured.Unstructured
	for key, obj := range o {
		if err == nil && key.GVK() == gvk && key.Namespace == namespace && wanted.Matches(labels.Set(obj.GetLabels())) {
			out = append(out, *obj)
		}
	}
	return out, err
}

func having(t *testing.T, texts ...string) objects {
	t.Helper()
	out := objects{}
	for _, text := range texts {
		obj := &unstructured.Unstructured{}
		raw, err := yaml.YAMLToJSON([]byte(text))
		if err == nil {
			err = obj.UnmarshalJSON(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		out[kube.KeyOf(obj)] = obj
	}
	return out
}

const (
	repository = `{apiVersion: source.toolkit.fluxcd.io/v1, kind: HelmRepository, metadata: {name: charts, namespace: apps}, status: {artifact: {}, conditions: [{type: Ready, status: "True"}]}}`
	brokenRepo = `{apiVersion: source.toolkit.fluxcd.io/v1, kind: HelmRepository, metadata: {name: charts, namespace: apps}, status: {conditions: [{type: Ready, status: "False", message: no such host}]}}`
	helmChart  = `{apiVersion: source.toolkit.fluxcd.io/v1, kind: HelmChart, metadata: {name: apps-web, namespace: apps}, spec: {chart: web, sourceRef: {kind: HelmRepository, name: charts}}, status: {artifact: {}, conditions: [{type: Ready, status: "True"}]}}`
	webPod     = `{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: apps, labels: {app: web}}, status: {phase: Pending, containerStatuses: [{name: web, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]}}`
	webObject  = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: apps, generation: 1, labels: {helm.toolkit.fluxcd.io/name: web, helm.toolkit.fluxcd.io/namespace: apps}},
 spec: {replicas: 1, selector: {matchLabels: {app: web}}}, status: {observedGeneration: 1, replicas: 1}}`
)

// release is a HelmRelease with a Ready condition.
func release(name, spec, ready string) string {
	return `{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: ` + name + `, namespace: apps, generation: 1}, spec: {chart: {spec: {chart: web, sourceRef: {kind: HelmRepository, name: charts}}}` + spec + `},
 status: {observedGeneration: 1, inventory: {entries: [{id: apps_web_apps_Deployment, v: v1}]}, conditions: [{type: Ready, ` + ready + `}]}}`
}

func TestWhyOfAReleaseGoesDownToThePod(t *testing.T) {
	t.Parallel()
	failed := `status: "False", reason: InstallFailed, message: "Helm install failed"`
	key := releaseKey("apps", "web")
	for name, c := range map[string]struct {
		cluster objects
		of      kube.Key
		blocker string
		stage   string // that blocks
	}{
		"ready":             {having(t, repository, helmChart, release("web", "", `status: "True"`), webObject, webPod), key, "", ""},
		"no repository":     {having(t, helmChart, release("web", "", failed)), key, "HelmRepository/apps/charts: there is no such source: create it, or mend spec.chart.spec.sourceRef", "source"},
		"broken repository": {having(t, brokenRepo, helmChart, release("web", "", failed)), key, "HelmRepository/apps/charts: no such host", "source"},
		"no chart yet":      {having(t, repository, release("web", "", failed)), key, "HelmChart/apps/apps-web: it was not made yet: is plumb running, and does it watch this namespace?", "chart"},
		"bad values":        {having(t, repository, helmChart, release("web", "", `status: "False", reason: ValuesError, message: "Secret/apps/v not found"`)), key, "HelmRelease/apps/web: Secret/apps/v not found", "values"},
		"failed":            {having(t, repository, helmChart, release("web", "", failed), webObject, webPod), key, "Pod/apps/web-1: ", "release"},
		"suspended":         {having(t, repository, helmChart, release("web", ", suspend: true", `status: "True"`)), key, "HelmRelease/apps/web: it is suspended: set spec.suspend to false", "values"},
		"no dependency":     {having(t, repository, helmChart, release("web", ", dependsOn: [{name: db}]", `status: "False", reason: DependencyNotReady, message: x`)), key, "HelmRelease/apps/db: there is no such HelmRelease: create it, or mend spec.dependsOn", "dependency"},
		"a dependency":      {having(t, repository, helmChart, strings.Replace(helmChart, "apps-web", "apps-db", 1), release("web", ", dependsOn: [{name: db}]", `status: "True"`), release("db", ", suspend: true", `status: "True"`)), key, "HelmRelease/apps/db: it is suspended: set spec.suspend to false", "dependency"},
		"a cycle":           {having(t, repository, helmChart, release("web", ", dependsOn: [{name: web}]", `status: "True"`)), key, "HelmRelease/apps/web: it depends on HelmRelease/apps/web in turn: take one of the two out of spec.dependsOn", "dependency"},
		"an object of it":   {having(t, brokenRepo, helmChart, release("web", "", failed), webObject), kube.KeyOf(having(t, webObject).only()), "HelmRepository/apps/charts: no such host", "source"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cluster.blocked(t, c.of, c.blocker, c.stage)
		})
	}
	if _, err := Why(t.Context(), objects{}, key); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// blocked asks why an object is not ready: a blocker that begins so, in that stage;
// none where it is ready.
func (o objects) blocked(t *testing.T, of kube.Key, blocker, stage string) {
	t.Helper()
	chain, err := Why(t.Context(), o, of)
	if err != nil {
		t.Fatal(err)
	}
	if chain.Ready != (blocker == "") || !strings.HasPrefix(chain.Blocker, blocker) {
		t.Errorf("blocked by %q, want %q", chain.Blocker, blocker)
	}
	for _, s := range chain.Steps {
		if s.State == Blocked && s.Stage != stage {
			t.Errorf("%s blocks, want %s", s.Stage, stage)
		}
	}
}

// only is the one object there is.
func (o objects) only() *unstructured.Unstructured {
	for _, obj := range o {
		return obj
	}
	return nil
}

func TestTreeGoesThroughReleases(t *testing.T) {
	t.Parallel()
	unit := `{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: apps, namespace: apps},
 status: {conditions: [{type: Ready, status: "True"}], inventory: {entries: [{id: apps_web_helm.toolkit.fluxcd.io_HelmRelease, v: v2}]}}}`
	root, err := Tree(t.Context(), having(t, unit, release("web", "", `status: "False", message: broken`), webObject), unitKey("apps", "apps"), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(root.Children) != 1 || root.Children[0].Object != "HelmRelease/apps/web" || root.Children[0].Status != "Failed" || root.Children[0].Message != "broken" {
		t.Fatalf("got %+v", root)
	}
	if below := root.Children[0].Children; len(below) != 1 || below[0].Object != "Deployment/apps/web" || below[0].Status != "InProgress" {
		t.Errorf("got %+v", below)
	}
}
