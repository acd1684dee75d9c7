package v2_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

func TestReleaseName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		object, release, target string
		want                    string
	}{
		"the object's":               {object: "web", want: "web"},
		"with the target namespace":  {object: "web", target: "shop", want: "shop-web"},
		"the one that is given":      {object: "web", target: "shop", release: "own", want: "own"},
		"as long as Helm takes it":   {object: "nnnnnnnnnnnnnnnnnnnnnnnn", target: "tttttttttttttttttttttttttttt", want: "tttttttttttttttttttttttttttt-nnnnnnnnnnnnnnnnnnnnnnnn"},
		"cut as the toolkit does it": {object: "a-nice-object-name", target: "a-very-lengthy-target-namespace-with", want: "a-very-lengthy-target-namespace-with-a-n-97af5d7f41f3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: tc.object}}
			r.Spec.ReleaseName, r.Spec.TargetNamespace = tc.release, tc.target
			if got := r.GetReleaseName(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spec helmv2.HelmReleaseSpec
		want string
	}{
		"a HelmChart of its own": {
			helmv2.HelmReleaseSpec{Chart: &helmv2.HelmChartTemplate{}}, "HelmChart shop/shop-web",
		},
		"a HelmChart beside its source": {
			helmv2.HelmReleaseSpec{Chart: &helmv2.HelmChartTemplate{Spec: helmv2.HelmChartTemplateSpec{SourceRef: helmv2.CrossNamespaceObjectReference{Namespace: "charts"}}}},
			"HelmChart charts/shop-web",
		},
		"a source": {
			helmv2.HelmReleaseSpec{ChartRef: &helmv2.CrossNamespaceSourceReference{Kind: "OCIRepository", Name: "web"}}, "OCIRepository shop/web",
		},
		"a source elsewhere": {
			helmv2.HelmReleaseSpec{ChartRef: &helmv2.CrossNamespaceSourceReference{Kind: "OCIRepository", Namespace: "charts", Name: "web"}}, "OCIRepository charts/web",
		},
		"neither": {helmv2.HelmReleaseSpec{}, " /"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: tc.spec}
			if kind, chart := r.GetChart(); kind+" "+chart.String() != tc.want {
				t.Errorf("got %s %s, want %s", kind, chart, tc.want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reconcile, force, handled string
		want                      bool
	}{
		"nobody asks":                       {"", "", "", false},
		"asked with a reconciliation":       {"1", "1", "", true},
		"asked before, and again":           {"2", "2", "1", true},
		"handled":                           {"1", "1", "1", false},
		"left over from an earlier request": {"2", "1", "", false},
		"without asking to be reconciled":   {"", "1", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
				meta.ReconcileRequestAnnotation: tc.reconcile, helmv2.ForceRequestAnnotation: tc.force, helmv2.ResetRequestAnnotation: tc.force,
			}}}
			r.Status.LastHandledForceAt, r.Status.LastHandledResetAt = tc.handled, tc.handled
			if got := r.ForceRequested(); got != tc.want {
				t.Errorf("force: got %t, want %t", got, tc.want)
			}
			if got := r.ResetRequested(); got != tc.want {
				t.Errorf("reset: got %t, want %t", got, tc.want)
			}
		})
	}
}

func TestHelmChart(t *testing.T) {
	t.Parallel()
	own, inherited := metav1.Duration{Duration: 1}, metav1.Duration{Duration: 2}
	s := helmv2.HelmChartTemplateSpec{
		Chart: "web", Version: "1.x", ReconcileStrategy: sourcev1.ReconcileStrategyRevision,
		SourceRef:  helmv2.CrossNamespaceObjectReference{Kind: "HelmRepository", Namespace: "charts", Name: "stable"},
		ValuesFile: "base.yaml", ValuesFiles: []string{"values.yaml"}, IgnoreMissingValuesFiles: true,
		Verify: &helmv2.HelmChartTemplateVerification{Provider: sourcev1.VerifyCosign, SecretRef: &meta.LocalObjectReference{Name: "keys"}},
	}
	if got := s.HelmChart(inherited).Interval; got != inherited {
		t.Errorf("interval %v, want that of the release", got)
	}
	s.Interval = &own
	got := s.HelmChart(inherited)
	if got.Interval != own || got.SourceRef.Name != "stable" || got.Verify.SecretRef.Name != "keys" || !got.IgnoreMissingValuesFiles {
		t.Errorf("got %+v", got)
	}
	if files := got.GetValuesFiles(); len(files) != 2 || files[0] != "base.yaml" {
		t.Errorf("values files %v, want the single one first", files)
	}
}
