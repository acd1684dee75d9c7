package apply

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

func TestPlain(t *testing.T) {
	t.Parallel()
	const configMap = "apiVersion: v1\nkind: ConfigMap\n"
	const secret = "apiVersion: v1\nkind: Secret\n"
	const named = "metadata: {name: a, namespace: shop}\n"
	tests := []struct {
		name, text string
		want       bool
	}{
		{"a ConfigMap", configMap + "metadata: {name: a.b, namespace: shop, labels: {a: b, kustomize.toolkit.fluxcd.io/name: x}, annotations: {example.com/c: d e}}\ndata: {a.b_c-D: 'x', e: ''}\nbinaryData: {f: YQ==}\nimmutable: true\n", true},
		{"no data", configMap + named, true},
		{"a Secret", secret + named + "type: Opaque\ndata: {a: YQ==}\n", true},
		{"a Secret of no type", secret + named + "data: {a: YQ==}\n", true},
		{"a Secret of a type with rules", secret + named + "type: kubernetes.io/tls\ndata: {a: YQ==}\n", false},
		{"a Secret that is not encoded", secret + named + "data: {a: 'no base64'}\n", false},
		{"a Secret in the form of a user", secret + named + "stringData: {a: b}\n", false},
		{"another kind", "apiVersion: v1\nkind: Service\n" + named, false},
		{"another version", "apiVersion: v2\nkind: ConfigMap\n" + named, false},
		{"a field that there is not", configMap + named + "dat: {a: b}\n", false},
		{"data that is a list", configMap + named + "data: [a]\n", false},
		{"data that is null", configMap + named + "data: \n", false},
		{"a value that is a number", configMap + named + "data: {a: 1}\n", false},
		{"a key with a blank", configMap + named + "data: {a b: c}\n", false},
		{"a key that leads up", configMap + named + "data: {..: c}\n", false},
		{"a key in both maps", configMap + named + "data: {a: c}\nbinaryData: {a: YQ==}\n", false},
		{"too much data", configMap + named + "data: {a: " + strings.Repeat("x", dataBytes/2) + ", b: " + strings.Repeat("x", dataBytes/2+1) + "}\n", false},
		{"as much as may be", configMap + named + "data: {a: " + strings.Repeat("x", dataBytes/2) + ", b: " + strings.Repeat("x", dataBytes/2) + "}\n", true},
		{"immutable in words", configMap + named + "immutable: 'true'\n", false},
		{"a name in capitals", configMap + "metadata: {name: A, namespace: shop}\n", false},
		{"no namespace", configMap + "metadata: {name: a}\n", false},
		{"a label that is none", configMap + "metadata: {name: a, namespace: shop, labels: {a: 'b c'}}\n", false},
		{"an annotation that is none", configMap + "metadata: {name: a, namespace: shop, annotations: {'a b': c}}\n", false},
		{"too many annotations", configMap + "metadata: {name: a, namespace: shop, annotations: {a: " + strings.Repeat("x", 256<<10) + "}}\n", false},
		{"an owner", configMap + "metadata: {name: a, namespace: shop, ownerReferences: []}\n", false},
		{"a finalizer", configMap + "metadata: {name: a, namespace: shop, finalizers: [example.com/a]}\n", false},
		{"an annotation that steers", configMap + "metadata: {name: a, namespace: shop, annotations: {kustomize.toolkit.fluxcd.io/ssa: Merge}}\n", false},
		{"a label that steers", configMap + "metadata: {name: a, namespace: shop, labels: {kustomize.toolkit.fluxcd.io/ssa: Merge}}\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := plain(parsed(t, test.text)); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	tests := []struct {
		rule string
		want bool
	}{
		{"{apiGroups: [''], resources: [configmaps], operations: [CREATE, UPDATE]}", true},
		{"{apiGroups: ['*'], resources: ['*'], operations: ['*']}", true},
		{"{apiGroups: ['*'], resources: ['*/*'], operations: ['*']}", true},
		{"{apiGroups: [''], resources: [secrets, configmaps], operations: ['*'], apiVersions: [v2]}", true},
		{"{resources: [configmaps]}", true},
		{"{apiGroups: [''], resources: [1], operations: [CREATE]}", true},
		{"[configmaps]", true},
		{"{apiGroups: [apps], resources: ['*'], operations: ['*']}", false},
		{"{apiGroups: [''], resources: [pods, pods/exec], operations: ['*']}", false},
		{"{apiGroups: [''], resources: [configmaps], operations: [DELETE]}", false},
	}
	for _, test := range tests {
		var rule any
		if err := yaml.Unmarshal([]byte(test.rule), &rule); err != nil {
			t.Fatal(err)
		}
		if got := concerns(rule, configMaps, "CREATE"); got != test.want {
			t.Errorf("%s: got %t, want %t", test.rule, got, test.want)
		}
	}
}
