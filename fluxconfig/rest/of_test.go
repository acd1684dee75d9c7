package rest

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

const object = `
metadata: {name: fleet, namespace: ns}
spec:
  scope: cluster
  sourceKind: GitRepository
  gitRepository: {url: "https://git.example.com/fleet", ref: {branch: main}, timeout: 10m0s, syncInterval: 1500ms, httpsUser: me}
  kustomizations:
    - {name: infra, path: ./infra, prune: true, wait: true, timeout: 1m30s, syncInterval: 10m0s, retryInterval: 30s}
    - {name: apps, dependsOn: [infra]}
  protectedParametersSecretRef: {name: fleet-protected-parameters}
  waitForReconciliation: true
  reconciliationWaitDuration: 1h5m
status:
  provisioningState: Succeeded
  complianceState: Compliant
  sourceSyncedCommitId: main@sha1:1234
  observedGeneration: 3
  statuses:
    - {name: fleet, namespace: ns, kind: GitRepository, complianceState: Compliant}
`

func TestOf(t *testing.T) {
	t.Parallel()
	fc := &clusterconfigv1.FluxConfig{}
	if err := yaml.UnmarshalStrict([]byte(object), fc); err != nil {
		t.Fatal(err)
	}
	got, err := Of(fc)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"complianceState":"Compliant","errorMessage":"",` +
		`"gitRepository":{"httpsUser":"me","repositoryRef":{"branch":"main"},"syncIntervalInSeconds":2,"timeoutInSeconds":600,"url":"https://git.example.com/fleet"},` +
		`"kustomizations":{"apps":{"dependsOn":["infra"],"name":"apps"},` +
		`"infra":{"name":"infra","path":"./infra","prune":true,"retryIntervalInSeconds":30,"syncIntervalInSeconds":600,"timeoutInSeconds":90,"wait":true}},` +
		`"name":"fleet","namespace":"ns","provisioningState":"Succeeded","reconciliationWaitDuration":"PT1H5M","repositoryPublicKey":"",` +
		`"scope":"cluster","sourceKind":"GitRepository","sourceSyncedCommitId":"main@sha1:1234",` +
		`"statuses":[{"complianceState":"Compliant","kind":"GitRepository","name":"fleet","namespace":"ns"}],` +
		`"suspend":false,"type":"Microsoft.KubernetesConfiguration/fluxConfigurations","waitForReconciliation":true}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

// TestOfWhatNobodyLookedAt: there is a compliance state from the start.
func TestOfWhatNobodyLookedAt(t *testing.T) {
	t.Parallel()
	got, err := Of(&clusterconfigv1.FluxConfig{ObjectMeta: metav1.ObjectMeta{Name: "fleet"}})
	if err != nil {
		t.Fatal(err)
	}
	if got["complianceState"] != "Unknown" || got["statuses"] == nil || got["suspend"] != false {
		t.Errorf("got %v", got)
	}
}

func TestISODuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Hour: "PT1H", 5 * time.Minute: "PT5M", 24 * time.Hour: "PT24H", 90 * time.Second: "PT1M30S", 1500 * time.Millisecond: "PT1.5S", 0: "PT0S",
	} {
		if got := isoDuration(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}
