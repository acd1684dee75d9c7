package explain

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/internal/kube"
)

const (
	made       = `labels: {clusterconfig.azure.com/is-managed: "true", clusterconfig.azure.com/name: config, clusterconfig.azure.com/namespace: apps}`
	configRepo = `{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {name: config, namespace: apps, ` + made + `}, status: {artifact: {}, conditions: [{type: Ready, status: "True"}]}}`
	lostRepo   = `{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {name: config, namespace: apps, ` + made + `}, status: {conditions: [{type: Ready, status: "False", message: no such host}]}}`
	bystander  = `{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {name: other, namespace: apps}}`
)

// config is a FluxConfig with a status.
func config(spec, status string) string {
	return `{apiVersion: clusterconfig.azure.com/v1alpha1, kind: FluxConfig, metadata: {name: config, namespace: apps, generation: 1}, spec: {` + spec + `}, status: {observedGeneration: 1, ` + status + `}}`
}

// part is a Kustomization of the FluxConfig that applied a HelmRelease.
func part(ready string) string {
	return `{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: config-web, namespace: apps, generation: 1, ` + made + `}, spec: {sourceRef: {kind: GitRepository, name: config}},
 status: {observedGeneration: 1, inventory: {entries: [{id: apps_web_helm.toolkit.fluxcd.io_HelmRelease, v: v2}]}, conditions: [{type: Ready, ` + ready + `}]}}`
}

func TestWhyOfAFluxConfig(t *testing.T) {
	t.Parallel()
	compliant, not := `conditions: [{type: Ready, status: "True"}]`, `conditions: [{type: Ready, status: "False", reason: Failed, message: "Non-Compliant: x"}]`
	fine, broken := `status: "True"`, `status: "False", reason: BuildFailed, message: no such folder`
	for name, c := range map[string]struct {
		cluster objects
		blocker string
		stage   string // that blocks
	}{
		"compliant":          {having(t, config("", compliant), configRepo, part(fine), repository, helmChart, release("web", "", fine)), "", ""},
		"suspended":          {having(t, config("suspend: true", compliant)), "FluxConfig/apps/config: it is suspended", "configuration"},
		"not looked at":      {having(t, `{apiVersion: clusterconfig.azure.com/v1alpha1, kind: FluxConfig, metadata: {name: config, namespace: apps, generation: 1}, spec: {}}`), "FluxConfig/apps/config: no engine has looked at it yet", "configuration"},
		"invalid":            {having(t, config("", `errorMessage: "no Secret", conditions: [{type: Ready, status: "False", reason: InvalidConfiguration, message: "no Secret"}]`)), "FluxConfig/apps/config: no Secret", "configuration"},
		"its source":         {having(t, config("", not), lostRepo, part(broken)), "GitRepository/apps/config: no such host", "source"},
		"its Kustomization":  {having(t, config("", not), configRepo, part(broken)), "Kustomization/apps/config-web: no such folder", "kustomization"},
		"a release":          {having(t, config("", not), configRepo, part(fine), repository, helmChart, release("web", "", `status: "False", reason: InstallFailed, message: failed`), webObject, webPod), "Pod/apps/web-1: container web is waiting: ImagePullBackOff: no such image", "release"},
		"not summed up yet":  {having(t, config("", `conditions: [{type: Ready, status: "Unknown", reason: Progressing, message: "Pending: x"}]`), configRepo), "FluxConfig/apps/config: Pending: x", "compliance"},
		"not made in time":   {having(t, config("", `errorMessage: "not reconciled", conditions: [{type: Ready, status: "False", reason: ReconciliationTimeout, message: "not reconciled"}]`), lostRepo), "GitRepository/apps/config: no such host", "source"},
		"on another cluster": {having(t, config("", compliant), configRepo, strings.Replace(part(fine), "spec: {", "spec: {kubeConfig: {secretRef: {name: x}}, ", 1), release("web", ", suspend: true", fine)), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cluster.blocked(t, kube.KeyOf(having(t, config("", compliant)).only()), c.blocker, c.stage)
		})
	}
}

func TestTreeOfAFluxConfig(t *testing.T) {
	t.Parallel()
	cluster := having(t, config("suspend: true", ""), configRepo, bystander, part(`status: "True"`), release("web", "", `status: "True"`), webObject, webPod)
	root, err := Tree(t.Context(), cluster, kube.KeyOf(having(t, config("", "")).only()), true)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, key := range root.Keys() {
		have = append(have, key.String())
	}
	want := []string{"FluxConfig/apps/config", "GitRepository/apps/config", "Kustomization/apps/config-web", "HelmRelease/apps/web", "Deployment/apps/web", "Pod/apps/web-1"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	pod := root.Children[1].Children[0].Children[0].Children[0]
	if !root.Suspended || pod.Message != "container web is waiting: ImagePullBackOff: no such image" {
		t.Errorf("suspended is %t, and of the pod it says %q", root.Suspended, pod.Message)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	made := `{apiVersion: source.toolkit.fluxcd.io/v1, kind: ExternalArtifact, metadata: {name: made, namespace: apps}, spec: {sourceRef: {apiVersion: example.com/v1, kind: Maker, name: maker}}}`
	cluster := having(t, configRepo, part(`status: "True"`), repository, helmChart, release("web", "", `status: "True"`), made)
	for _, c := range []struct {
		of   string
		want []string
	}{
		{part(`status: "True"`), []string{"GitRepository/apps/config"}},
		{release("web", "", `status: "True"`), []string{"HelmRepository/apps/charts", "HelmChart/apps/apps-web"}},
		{release("new", "", `status: "True"`), []string{"HelmChart/apps/apps-new"}}, // which is not there yet
		{helmChart, []string{"HelmRepository/apps/charts"}},
		{made, []string{"Maker/apps/maker"}},
		{repository, nil},
	} {
		obj := having(t, c.of).only()
		keys, err := Origins(t.Context(), cluster, obj)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, key := range keys {
			have = append(have, key.String())
		}
		if diff := cmp.Diff(c.want, have); diff != "" {
			t.Errorf("%s: %s", kube.KeyOf(obj), diff)
		}
	}
}
