package install_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/settings"
)

const (
	pod       = "spec.template"
	container = "spec.template.spec.containers"
)

// shaped are, for the last words of each setting that shapes the Deployment: a
// value, where that is seen, and as what.
var shaped = map[string]struct{ value, kind, name, path, want string }{
	"resources.limits.cpu":           {"2", "Deployment", "plumb", container + ".0.resources.limits.cpu", "2"},
	"resources.limits.memory":        {"3Gi", "Deployment", "plumb", container + ".0.resources.limits.memory", "3Gi"},
	"resources.requests.cpu":         {"300m", "Deployment", "plumb", container + ".0.resources.requests.cpu", "300m"},
	"resources.requests.memory":      {"200Mi", "Deployment", "plumb", container + ".0.resources.requests.memory", "200Mi"},
	"workloadIdentity.enable":        {"true", "Deployment", "plumb", pod + `.metadata.labels.azure\.workload\.identity/use`, "true"},
	"workloadIdentity.azureClientId": {"12345678-1234-1234-1234-123456789abc", "ServiceAccount", "plumb", `metadata.annotations.azure\.workload\.identity/client-id`, "12345678-1234-1234-1234-123456789abc"},
	"workloadIdentity.azureTenantId": {"12345678-1234-1234-1234-123456789abc", "ServiceAccount", "plumb", `metadata.annotations.azure\.workload\.identity/tenant-id`, "12345678-1234-1234-1234-123456789abc"},
	"useKubeletIdentity":             {"true", "Deployment", "plumb", container + ".0.env.1.value", "/etc/kubernetes/azure.json"},
	"setKubeServiceHostFqdn":         {"true", "Deployment", "plumb", pod + `.metadata.annotations.kubernetes\.azure\.com/set-kube-service-host-fqdn`, "true"},
}

// TestSettingShapesTheInstallation: every setting whose effect is install.
func TestSettingShapesTheInstallation(t *testing.T) {
	t.Parallel()
	for _, key := range settings.Keys() {
		if key.Effect != settings.Reinstall {
			continue
		}
		t.Run(key.Name, func(t *testing.T) {
			t.Parallel()
			words := key.Name
			if _, after, ok := strings.Cut(key.Name, "-controller."); ok {
				words = after
			}
			tc, ok := shaped[words]
			if !ok {
				t.Fatal("there is no case for it")
			}
			given := settings.Values{key.Name: tc.value}
			if strings.HasPrefix(key.Name, "workloadIdentity.azure") {
				given["workloadIdentity.enable"] = "true"
			}
			if got := at(find(t, objects(t, install.Options{Image: "plumb:v1", Settings: given}), tc.kind, tc.name), tc.path); got != tc.want {
				t.Errorf("%s is %q, want %q", tc.path, got, tc.want)
			}
			if got := at(find(t, objects(t, install.Options{Image: "plumb:v1"}), tc.kind, tc.name), tc.path); got == tc.want {
				t.Errorf("%s is %q without the setting", tc.path, got)
			}
		})
	}
}

// at is the value at a path, as text; "" where there is none.
func at(obj *unstructured.Unstructured, path string) string {
	var value any = obj.Object
	for _, word := range strings.Split(strings.ReplaceAll(path, `\.`, "\x00"), ".") {
		word = strings.ReplaceAll(word, "\x00", ".")
		switch in := value.(type) {
		case map[string]any:
			value = in[word]
		case []any:
			var n int
			if _, err := fmt.Sscan(word, &n); err != nil || n >= len(in) {
				return ""
			}
			value = in[n]
		default:
			return ""
		}
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
