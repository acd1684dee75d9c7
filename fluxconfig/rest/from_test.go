package rest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

const body = `
id: /subscriptions/s/x
name: fleet
properties:
  scope: cluster
  sourceKind: AzureBlob
  provisioningState: Succeeded
  suspend: false
  azureBlob:
    url: https://store.example.com
    containerName: fleet
    timeoutInSeconds: 600
    syncIntervalInSeconds: 90
    localAuthRef: null
    servicePrincipal: {clientId: c, tenantId: t, clientCertificate: Y2VydA==, clientCertificatePassword: pass}
  kustomizations:
    infra: {path: ./infra, prune: true, retryIntervalInSeconds: 30}
    apps: {dependsOn: [infra]}
  reconciliationWaitDuration: PT1H5M
  configurationProtectedSettings: {httpsKey: a2V5}
`

func TestFrom(t *testing.T) {
	t.Parallel()
	spec, protected, err := From([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"scope":"cluster","sourceKind":"AzureBlob","azureBlob":{"url":"https://store.example.com","timeout":"10m0s","syncInterval":"1m30s","containerName":"fleet",` +
		`"servicePrincipal":{"clientId":"c","tenantId":"t"}},"kustomizations":[{"name":"apps","dependsOn":["infra"]},{"name":"infra","path":"./infra","retryInterval":"30s","prune":true}],` +
		`"reconciliationWaitDuration":"1h5m0s"}`
	var a, b any
	if json.Unmarshal(raw, &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		t.Fatal("no JSON")
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if string(x) != string(y) {
		t.Errorf("got  %s\nwant %s", x, y)
	}
	if keys := slices.Sorted(maps.Keys(protected)); !slices.Equal(keys, []string{"clientCertificate", "clientCertificatePassword", "httpsKey"}) ||
		string(protected["clientCertificate"]) != "cert" || string(protected["httpsKey"]) != "key" || string(protected["clientCertificatePassword"]) != "pass" {
		t.Errorf("protected are %v", keys)
	}
}

// TestFromOf: what is shown can be given back.
func TestFromOf(t *testing.T) {
	t.Parallel()
	fc := &clusterconfigv1.FluxConfig{}
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(object, "1500ms", "2s")), fc); err != nil {
		t.Fatal(err)
	}
	shown, err := Of(fc)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	spec, _, err := From(raw)
	if err != nil {
		t.Fatal(err)
	}
	fc.Spec.ProtectedParametersSecretRef = nil
	slices.Reverse(fc.Spec.Kustomizations) // they are sorted by name
	got, _ := yaml.Marshal(spec)
	if want, _ := yaml.Marshal(fc.Spec); string(got) != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestFromNonsense(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"{":                      "neither JSON nor YAML",
		"properties: {scpoe: a}": `unknown field "scpoe"`,
		"configurationProtectedSettings: {httpsKey: '*'}":         "configurationProtectedSettings.httpsKey: want base64",
		"azureBlob: {servicePrincipal: {clientCertificate: '*'}}": "clientCertificate: want base64",
		"reconciliationWaitDuration: soon":                        "reconciliationWaitDuration: ",
		"gitRepository: {timeoutInSeconds: soon}":                 "soon",
	} {
		if _, _, err := From([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", body, err, want)
		}
	}
}

func FuzzFrom(f *testing.F) {
	f.Add([]byte(body))
	f.Add([]byte("kustomizations: {a: null}"))
	f.Fuzz(func(_ *testing.T, body []byte) { _, _, _ = From(body) })
}
