package v1_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

func secret(name string) *meta.LocalObjectReference { return &meta.LocalObjectReference{Name: name} }

var verify = &sourcev1.OCIRepositoryVerification{SecretRef: secret("keys"), TrustedRootSecretRef: secret("root")}

func TestSecretNames(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		source sourcev1.Source
		want   []string
	}{
		"none": {&sourcev1.GitRepository{}, nil},
		"a GitRepository": {&sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{
			SecretRef: secret("login"), ProxySecretRef: secret("proxy"), Verification: &sourcev1.GitRepositoryVerification{SecretRef: *secret("keys")},
		}}, []string{"keys", "login", "proxy"}},
		"a signature without keys, as v1beta1 has it": {&sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{
			Verification: &sourcev1.GitRepositoryVerification{Mode: "head"},
		}}, nil},
		"an OCIRepository": {&sourcev1.OCIRepository{Spec: sourcev1.OCIRepositorySpec{
			SecretRef: secret("login"), CertSecretRef: secret("tls"), ProxySecretRef: secret("proxy"), Verify: verify,
		}}, []string{"keys", "login", "proxy", "root", "tls"}},
		"a Bucket": {&sourcev1.Bucket{Spec: sourcev1.BucketSpec{
			SecretRef: secret("login"), CertSecretRef: secret("tls"), ProxySecretRef: secret("proxy"),
			STS: &sourcev1.BucketSTSSpec{SecretRef: secret("ldap"), CertSecretRef: secret("tls")},
		}}, []string{"ldap", "login", "proxy", "tls"}},
		"a HelmRepository": {&sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{
			SecretRef: secret("login"), CertSecretRef: secret("tls"), KeyringSecretRef: secret("signers"),
		}}, []string{"login", "signers", "tls"}},
		"one Secret for all": {&sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{
			SecretRef: secret("one"), CertSecretRef: secret("one"),
		}}, []string{"one"}},
		"a HelmChart": {&sourcev1.HelmChart{Spec: sourcev1.HelmChartSpec{Verify: verify}}, []string{"keys", "root"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.source.GetSecretNames(); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// TestTimes wants the toolkit's defaults where a field is not set, and the field
// where it is.
func TestTimes(t *testing.T) {
	t.Parallel()
	interval, timeout := metav1.Duration{Duration: time.Hour}, metav1.Duration{Duration: time.Second}
	for name, tc := range map[string]struct {
		source            sourcev1.Source
		interval, timeout time.Duration
	}{
		"GitRepository":              {&sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{Interval: interval, Timeout: &timeout}}, time.Hour, time.Second},
		"GitRepository by default":   {&sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{Interval: interval}}, time.Hour, time.Minute},
		"OCIRepository":              {&sourcev1.OCIRepository{Spec: sourcev1.OCIRepositorySpec{Interval: interval, Timeout: &timeout}}, time.Hour, time.Second},
		"OCIRepository by default":   {&sourcev1.OCIRepository{Spec: sourcev1.OCIRepositorySpec{Interval: interval}}, time.Hour, time.Minute},
		"Bucket":                     {&sourcev1.Bucket{Spec: sourcev1.BucketSpec{Interval: interval, Timeout: &timeout}}, time.Hour, time.Second},
		"Bucket by default":          {&sourcev1.Bucket{Spec: sourcev1.BucketSpec{Interval: interval}}, time.Hour, time.Minute},
		"HelmRepository":             {&sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{Interval: &interval, Timeout: &timeout}}, time.Hour, time.Second},
		"HelmRepository by default":  {&sourcev1.HelmRepository{}, time.Minute, time.Minute},
		"HelmChart, without timeout": {&sourcev1.HelmChart{Spec: sourcev1.HelmChartSpec{Interval: interval}}, time.Hour, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.source.GetInterval(); got != tc.interval {
				t.Errorf("interval %v, want %v", got, tc.interval)
			}
			if got := tc.source.GetTimeout(); got != tc.timeout {
				t.Errorf("timeout %v, want %v", got, tc.timeout)
			}
		})
	}
}

func TestIsSuspended(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ goes, rests sourcev1.Source }{
		"GitRepository":  {&sourcev1.GitRepository{}, &sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{Suspend: true}}},
		"OCIRepository":  {&sourcev1.OCIRepository{}, &sourcev1.OCIRepository{Spec: sourcev1.OCIRepositorySpec{Suspend: true}}},
		"Bucket":         {&sourcev1.Bucket{}, &sourcev1.Bucket{Spec: sourcev1.BucketSpec{Suspend: true}}},
		"HelmRepository": {&sourcev1.HelmRepository{}, &sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{Suspend: true}}},
		"HelmChart":      {&sourcev1.HelmChart{}, &sourcev1.HelmChart{Spec: sourcev1.HelmChartSpec{Suspend: true}}},
	} {
		if tc.goes.IsSuspended() || !tc.rests.IsSuspended() {
			t.Errorf("%s: spec.suspend is %t where it is not set, %t where it is", name, tc.goes.IsSuspended(), tc.rests.IsSuspended())
		}
	}
}

// TestStatus: what is set is what comes back, whatever the kind.
func TestStatus(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sourcev1.Source{
		"GitRepository": &sourcev1.GitRepository{}, "OCIRepository": &sourcev1.OCIRepository{}, "Bucket": &sourcev1.Bucket{},
		"HelmRepository": &sourcev1.HelmRepository{}, "HelmChart": &sourcev1.HelmChart{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			artifact := &meta.Artifact{Revision: "r"}
			s.SetArtifact(artifact)
			s.SetObservedGeneration(3)
			s.SetLastHandledReconcileAt("now")
			*s.GetConditions() = append(*s.GetConditions(), metav1.Condition{Type: meta.ReadyCondition})
			if s.GetArtifact() != artifact || s.GetObservedGeneration() != 3 || s.GetLastHandledReconcileAt() != "now" || len(*s.GetConditions()) != 1 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestHelmRepositoryIsOCI(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spec sourcev1.HelmRepositorySpec
		want bool
	}{
		"an index":                      {sourcev1.HelmRepositorySpec{URL: "https://charts.example.com"}, false},
		"an index by its type":          {sourcev1.HelmRepositorySpec{URL: "https://charts.example.com", Type: "default"}, false},
		"a registry":                    {sourcev1.HelmRepositorySpec{URL: "oci://registry.example.com/charts", Type: "oci"}, true},
		"a registry by its URL":         {sourcev1.HelmRepositorySpec{URL: "oci://registry.example.com/charts"}, true},
		"a registry that says it's not": {sourcev1.HelmRepositorySpec{URL: "oci://registry.example.com/charts", Type: "default"}, true},
	} {
		if got := tc.spec.IsOCI(); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func TestValuesFilesWithTheOlderField(t *testing.T) {
	t.Parallel()
	spec := sourcev1.HelmChartSpec{ValuesFile: "base.yaml", ValuesFiles: []string{"a.yaml", "b.yaml"}}
	if got := spec.GetValuesFiles(); !slices.Equal(got, []string{"base.yaml", "a.yaml", "b.yaml"}) {
		t.Errorf("got %v, want the single one first", got)
	}
	spec.ValuesFile = ""
	if got := spec.GetValuesFiles(); !slices.Equal(got, []string{"a.yaml", "b.yaml"}) {
		t.Errorf("got %v", got)
	}
}

func TestReferencesByDefault(t *testing.T) {
	t.Parallel()
	if got := (sourcev1.OCIRepositorySpec{}).GetRef(); got != (sourcev1.OCIRepositoryRef{}) {
		t.Errorf("got %+v", got)
	}
	if got := (sourcev1.OCIRepositorySpec{Reference: &sourcev1.OCIRepositoryRef{Tag: "v1"}}).GetRef().Tag; got != "v1" {
		t.Errorf("got tag %q", got)
	}
	if got := (sourcev1.OCIRepositorySpec{LayerSelector: &sourcev1.OCILayerSelector{Operation: sourcev1.LayerCopy}}).GetLayerSelector().Operation; got != "copy" {
		t.Errorf("got operation %q", got)
	}
	if got := (sourcev1.OCIRepositorySpec{}).GetLayerSelector(); got != (sourcev1.OCILayerSelector{}) {
		t.Errorf("got %+v", got)
	}
}
