package postrender

import (
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"sigs.k8s.io/yaml"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

const job = `apiVersion: batch/v1
kind: Job
metadata: {name: prepare, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: "5"}}
spec: {template: {spec: {containers: [{name: web, image: "web:1"}]}}}
`

// Patches: one that only a hook fits, one that makes a hook of an object, one that
// makes an object of a hook.
const (
	toJob      = `postRenderers: [{kustomize: {patches: [{patch: "{apiVersion: batch/v1, kind: Job, metadata: {name: prepare}, spec: {backoffLimit: 7}}"}]}}]`
	toHook     = `postRenderers: [{kustomize: {patches: [{target: {kind: ConfigMap}, patch: "- {op: add, path: /metadata/annotations, value: {helm.sh/hook: post-install}}"}]}}]`
	fromHook   = `postRenderers: [{kustomize: {patches: [{target: {kind: Job}, patch: "- {op: remove, path: /metadata/annotations}"}]}}]`
	toWeight   = `postRenderers: [{kustomize: {patches: [{target: {kind: Job}, patch: "- {op: replace, path: /metadata/annotations/helm.sh~1hook-weight, value: '-3'}"}]}}]`
	images     = `postRenderers: [{kustomize: {images: [{name: web, newTag: "2"}]}}]`
	commonTeam = `commonMetadata: {labels: {team: a}}`
)

func TestStrategies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec             string
		hooks, notHooks  string // what is in the text of all hooks, and what is not
		objects          string // what is in that of the objects
		hookNames, fails string
	}{
		"combined by default":          {spec: images, hooks: "image: web:2", objects: "image: web:2", hookNames: "prepare"},
		"combined, common metadata":    {spec: commonTeam, hooks: "team: a", objects: "team: a", hookNames: "prepare"},
		"combined, for a hook alone":   {spec: toJob, hooks: "backoffLimit: 7", objects: "web:1", hookNames: "prepare"},
		"combined, a new hook":         {spec: toHook, hooks: "kind: ConfigMap", objects: "Deployment", hookNames: "web prepare"},
		"combined, a hook less":        {spec: fromHook, objects: "kind: Job"},
		"combined, the weight counts":  {spec: toWeight, hooks: "-3", objects: "web:1", hookNames: "prepare"},
		"separate":                     {spec: images + "\npostRenderStrategy: separate", hooks: "image: web:2", objects: "image: web:2", hookNames: "prepare"},
		"separate, for a hook alone":   {spec: toJob + "\npostRenderStrategy: separate", fails: "prepare"},
		"separate, a hook less":        {spec: fromHook + "\npostRenderStrategy: separate", fails: "Job/prepare is a hook no more, which only spec.postRenderStrategy combined allows"},
		"hooks stay as they are":       {spec: images + "\npostRenderStrategy: nohooks", notHooks: "web:2", objects: "image: web:2", hookNames: "prepare"},
		"no hooks, for one of them":    {spec: toJob + "\npostRenderStrategy: nohooks", fails: "prepare"},
		"no hooks and common metadata": {spec: commonTeam + "\npostRenderStrategy: nohooks", notHooks: "team", objects: "team: a", hookNames: "prepare"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hr := &helmv2.HelmRelease{}
			if err := yaml.Unmarshal([]byte(c.spec), &hr.Spec); err != nil {
				t.Fatal(err)
			}
			before := []*release.Hook{{Name: "prepare", Kind: "Job", Path: "web/templates/job.yaml", Manifest: job}}
			objects, hooks, err := New(t.Context(), hr).Apply(manifest, before)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("got %v, want %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, h := range hooks {
				names = append(names, h.Name)
				if h.Name == "prepare" && (h.Path != "web/templates/job.yaml" || c.spec == toWeight && h.Weight != -3) {
					t.Errorf("%+v", h)
				}
			}
			if got := strings.Join(names, " "); got != c.hookNames {
				t.Errorf("hooks %q, want %q", got, c.hookNames)
			}
			if text := stream(hooks); !strings.Contains(text, c.hooks) || c.notHooks != "" && strings.Contains(text, c.notHooks) {
				t.Errorf("hooks\n%s", text)
			}
			if !strings.Contains(objects, c.objects) {
				t.Errorf("objects\n%s", objects)
			}
		})
	}
}

// TestSameNameTwice: what a hook and an object are both called cannot go in one stream,
// and the error says what helps.
func TestSameNameTwice(t *testing.T) {
	t.Parallel()
	twin := []*release.Hook{{Name: "web", Kind: "ConfigMap", Manifest: "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: apps, annotations: {helm.sh/hook: test}}}"}}
	for strategy, want := range map[string]string{
		"": "remove one; or set spec.postRenderStrategy to separate", helmv2.PostRenderSeparate: "", helmv2.PostRenderNoHooks: "",
	} {
		hr := &helmv2.HelmRelease{}
		if err := yaml.Unmarshal([]byte(images), &hr.Spec); err != nil {
			t.Fatal(err)
		}
		hr.Spec.PostRenderStrategy = strategy
		_, hooks, err := New(t.Context(), hr).Apply(manifest, twin)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && len(hooks) != 1 {
			t.Errorf("%s: got %v, %v", strategy, hooks, err)
		}
	}
}

func TestHasHooks(t *testing.T) {
	t.Parallel()
	inner := &chart.Chart{Templates: []*chart.File{{Data: []byte(job)}}}
	outer := &chart.Chart{Templates: []*chart.File{{Data: []byte(manifest)}}}
	if HasHooks(outer) || !HasHooks(inner) {
		t.Error("of its own")
	}
	outer.SetDependencies(inner)
	if !HasHooks(outer) {
		t.Error("of a dependency")
	}
}
