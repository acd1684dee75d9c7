package build_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/build/decrypt"
	"github.com/plumb-gitops/plumb/internal/testsops"
	"github.com/plumb-gitops/plumb/source"
)

// webDeployment is an object with an image, a name and a label.
const webDeployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec: {template: {spec: {containers: [{name: web, image: registry.example/web:1}]}}}
`

func application() source.MemoryTree {
	return source.MemoryTree{
		"app/kustomization.yaml":    "resources: [deployment.yaml]\nimages: [{name: registry.example/web, newTag: \"2\"}]\n",
		"app/deployment.yaml":       webDeployment,
		"labels/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels: [{pairs: {from: component}}]\n",
	}
}

func manifests(t *testing.T, r build.Result) string {
	t.Helper()
	var out strings.Builder
	for _, obj := range r.Objects {
		raw, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
	}
	return out.String()
}

func TestFieldsOfTheSpec(t *testing.T) {
	t.Parallel()
	merge := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n"
	json := "- {op: add, path: /spec/replicas, value: 4}\n"
	tests := []struct {
		name string
		spec build.Spec
		want []string
		not  []string
	}{
		{"nothing", build.Spec{}, []string{"name: web\n", "image: registry.example/web:2"}, nil},
		{"target namespace", build.Spec{TargetNamespace: "there"}, []string{"namespace: there"}, nil},
		{"prefix and suffix", build.Spec{NamePrefix: "a-", NameSuffix: "-z"}, []string{"name: a-web-z"}, nil},
		{"strategic merge patch", build.Spec{Patches: []types.Patch{{Patch: merge}}}, []string{"replicas: 3"}, nil},
		{"JSON patch with a target", build.Spec{Patches: []types.Patch{{Patch: json, Target: &types.Selector{ResId: resid.ResId{Gvk: resid.Gvk{Kind: "Deployment"}}}}}}, []string{"replicas: 4"}, nil},
		{"patches in order", build.Spec{Patches: []types.Patch{{Patch: merge}, {Patch: json, Target: &types.Selector{LabelSelector: "app=web"}}}}, []string{"replicas: 4"}, []string{"replicas: 3"}},
		{"image over the kustomization's", build.Spec{Images: []types.Image{{Name: "registry.example/web", NewName: "other.example/web", NewTag: "9"}}}, []string{"image: other.example/web:9"}, nil},
		{"image by digest", build.Spec{Images: []types.Image{{Name: "registry.example/web", Digest: "sha256:1"}}}, []string{"image: registry.example/web@sha256:1"}, nil},
		{"component", build.Spec{Components: []string{"../labels"}}, []string{"from: component"}, nil},
		{"component that may be missing", build.Spec{Components: []string{"../none", "../labels"}, IgnoreMissingComponents: true}, []string{"from: component"}, nil},
		{"build metadata", build.Spec{BuildMetadata: []string{"originAnnotations"}}, []string{"config.kubernetes.io/origin"}, nil},
		{"common metadata", build.Spec{CommonMetadata: build.Metadata{Labels: map[string]string{"app": "ours"}, Annotations: map[string]string{"a": "b"}}}, []string{"app: ours", "a: b"}, []string{"app: web"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.spec.Path = "app"
			r, err := build.Kustomization(t.Context(), application(), test.spec)
			if err != nil {
				t.Fatal(err)
			}
			text := manifests(t, r)
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			for _, not := range test.not {
				if strings.Contains(text, not) {
					t.Errorf("%q in\n%s", not, text)
				}
			}
		})
	}
}

func TestFieldsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		spec build.Spec
		want string
	}{
		{"missing component", build.Spec{Components: []string{"../none"}}, "../none does not exist in the source; correct it, or set spec.ignoreMissingComponents"},
		{"component from elsewhere", build.Spec{Components: []string{"https://git.example/x"}}, "a component is a folder of the source"},
		{"component outside", build.Spec{Components: []string{"../../x"}}, "leads out of the source"},
		{"patch of nothing", build.Spec{Patches: []types.Patch{{Patch: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: none}\ndata: {a: b}\n"}}}, "app"},
		{"name of a variable", build.Spec{Substitution: build.Substitution{Variables: map[string]string{"a-b": ""}}}, `the variable "a-b"`},
	}
	for _, test := range tests {
		test.spec.Path = "app"
		_, err := build.Kustomization(t.Context(), application(), test.spec)
		if err == nil || !errors.As(err, new(*build.Error)) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestSubstitution(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"name": "web", "n": "3", "quote": `"`, "list": "[a, b]", "empty": "", "yes": "true"}
	tests := []struct{ name, in, want string }{
		{"text", "${name}", "web"},
		{"within text", "a-${name}.example", "a-web.example"},
		{"a number", "${n}", "3 (int64)"},
		{"a number as text", "${quote}${n}${quote}", "3"},
		{"a boolean", "${yes}", "true (bool)"},
		{"default", "${none:=x}", "x"},
		{"default with a dash", "${none:-x}", "x"},
		{"default for an empty one", "${empty:=x}", "x"},
		{"default with a variable", "${none:=${name}}", "web"},
		{"default that is not used", "${name:=${none}}", "web"},
		{"length", "${#name}", "3 (int64)"},
		{"part", "${name:1:1}", "e"},
		{"replace", "${name/w/x}", "xeb"},
		{"upper case", "${name^^}", "WEB"},
		{"without a prefix", "${name#w}", "eb"},
		{"not meant", "$name $(name) $", "$name $(name) $"},
		{"kept", "$${name}", "${name}"},
		{"a key and its value", "x", "x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cm := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "cm"}, "data": map[string]any{"key": test.in}}
			raw, err := yaml.Marshal(cm)
			if err != nil {
				t.Fatal(err)
			}
			r, err := build.Kustomization(t.Context(), source.MemoryTree{"cm.yaml": string(raw)}, build.Spec{Substitution: build.Substitution{Variables: variables}})
			if err != nil {
				t.Fatal(err)
			}
			data, _ := r.Objects[0].Object["data"].(map[string]any)
			got := data["key"]
			text, isText := got.(string)
			if !isText {
				text = strings.TrimSpace(typed(got))
			}
			if text != test.want {
				t.Errorf("%s became %v, want %s", test.in, text, test.want)
			}
		})
	}
}

func typed(value any) string {
	raw, _ := yaml.Marshal(value)
	switch value.(type) {
	case int64:
		return strings.TrimSpace(string(raw)) + " (int64)"
	case bool:
		return strings.TrimSpace(string(raw)) + " (bool)"
	default:
		return string(raw)
	}
}

func TestVariablesThatAreNotDefined(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{"cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm, namespace: ns}\ndata: {list: \"${cluster_nam}\"}\n"}
	variables := map[string]string{"cluster_name": "one"}
	_, err := build.Kustomization(t.Context(), tree, build.Spec{Substitution: build.Substitution{Variables: variables}})
	const want = "cm.yaml: ConfigMap ns/cm: data.list: the variable cluster_nam is not defined: did you mean cluster_name? " +
		"Otherwise define it in spec.postBuild, give it a default as in ${cluster_nam:=value}, or write $${cluster_nam} for the text itself"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
	r, err := build.Kustomization(t.Context(), tree, build.Spec{Substitution: build.Substitution{Variables: variables, Lenient: true}})
	if err != nil || strings.Contains(manifests(t, r), "cluster") {
		t.Errorf("lenient: %v", err)
	}
	if r, err = build.Kustomization(t.Context(), tree, build.Spec{}); err != nil || !strings.Contains(manifests(t, r), "${cluster_nam}") {
		t.Errorf("without variables nothing is substituted: %v", err)
	}
	for _, mark := range []string{"labels", "annotations"} {
		off := source.MemoryTree{"cm.yaml": strings.Replace(tree["cm.yaml"], "name: cm,", mark+": {kustomize.toolkit.fluxcd.io/substitute: disabled}, name: cm,", 1)}
		if r, err = build.Kustomization(t.Context(), off, build.Spec{Substitution: build.Substitution{Variables: variables}}); err != nil || !strings.Contains(manifests(t, r), "${cluster_nam}") {
			t.Errorf("disabled by %s: %v", mark, err)
		}
	}
}

func TestSubstitutionThatBreaksTheManifest(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{"cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: \"${v}\"}\n"}
	for value, want := range map[string]string{"[": "is no YAML any more", "x: y": "mapping values"} {
		_, err := build.Kustomization(t.Context(), tree, build.Spec{Substitution: build.Substitution{Variables: map[string]string{"v": value}}})
		if err == nil || !strings.HasPrefix(err.Error(), "cm.yaml: ConfigMap cm: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", value, err, want)
		}
	}
	broken := source.MemoryTree{"cm.yaml": strings.Replace(tree["cm.yaml"], "${v}", "${v", 1)}
	if _, err := build.Kustomization(t.Context(), broken, build.Spec{Substitution: build.Substitution{Variables: map[string]string{"v": ""}}}); err == nil || !strings.Contains(err.Error(), "data.a: missing closing brace") {
		t.Errorf("without }: %v", err)
	}
}

func FuzzSubstitution(f *testing.F) {
	for _, seed := range []string{"${a}", "$${a}", "${a:-1:2}", "${a/x/y}", "${#a}", "${a:=${b}}", "${a", "${a:1:-9}", "${a%%", "$"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		raw, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "cm"}, "data": map[string]any{"a": text}})
		if err != nil {
			t.Fatal(err)
		}
		// It ends, with objects or an error, and never panics.
		_, _ = build.Kustomization(t.Context(), source.MemoryTree{"cm.yaml": string(raw)}, build.Spec{Substitution: build.Substitution{Variables: map[string]string{"a": value}}})
	})
}

// Encrypted files work wherever kustomize reads a file.
func TestEncryptedFiles(t *testing.T) {
	t.Parallel()
	key := testsops.Age(t)
	keys, err := decrypt.FromSecret(map[string][]byte{key.Entry: key.Private})
	if err != nil {
		t.Fatal(err)
	}
	secret := "apiVersion: v1\nkind: Secret\nmetadata:\n    name: s\nstringData:\n    password: planted\n"
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	tests := []struct {
		name string
		tree source.MemoryTree
		want string
	}{
		{"a manifest", source.MemoryTree{"s.yaml": testsops.Encrypt(t, "yaml", secret, "^(data|stringData)$", key)}, "password: planted"},
		{"several documents", source.MemoryTree{"s.yaml": testsops.Encrypt(t, "yaml", secret+"---\n"+strings.Replace(secret, "name: s", "name: t", 1), "^(data|stringData)$", key)}, "name: t"},
		{"a base", source.MemoryTree{
			"kustomization.yaml": "resources: [base]\n", "base/kustomization.yaml": "resources: [s.yaml]\n",
			"base/s.yaml": testsops.Encrypt(t, "yaml", secret, "^stringData$", key),
		}, "password: planted"},
		{"a patch", source.MemoryTree{
			"kustomization.yaml": "resources: [s.yaml]\npatches: [{path: p.yaml}]\n", "s.yaml": strings.Replace(secret, "planted", "other", 1),
			"p.yaml": testsops.Encrypt(t, "yaml", secret, "^stringData$", key),
		}, "password: planted"},
		{"an env file", source.MemoryTree{
			"kustomization.yaml": "secretGenerator: [{name: s, envs: [secret.env]}]\n",
			"secret.env":         testsops.Encrypt(t, "dotenv", "PASSWORD=planted\n", "", key),
		}, "PASSWORD: " + encode("planted")},
		{"a binary file", source.MemoryTree{
			"kustomization.yaml": "secretGenerator: [{name: s, files: [key.bin]}]\n",
			"key.bin":            testsops.Encrypt(t, "binary", "planted", "", key),
		}, "key.bin: " + encode("planted")},
		{"data that are an encrypted file", source.MemoryTree{
			"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {file: " + encode(testsops.Encrypt(t, "binary", "planted", "", key)) + "}\n",
		}, "file: " + encode("planted")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := build.Kustomization(t.Context(), test.tree, build.Spec{Decrypt: keys})
			if err != nil {
				t.Fatal(err)
			}
			text := manifests(t, r)
			if !strings.Contains(text, test.want) || strings.Contains(text, "sops") || strings.Contains(text, "ENC[") {
				t.Errorf("no %q in\n%s", test.want, text)
			}
			if _, err := build.Kustomization(t.Context(), test.tree, build.Spec{}); err == nil || !strings.Contains(err.Error(), "spec.decryption") || strings.Contains(err.Error(), "planted") {
				t.Errorf("without keys: %v", err)
			}
		})
	}
}

func TestCiphertextIsNeverApplied(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{"cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: \"before ENC[AES256_GCM,data:AAAA,type:str] after\"}\n"}
	for name, keys := range map[string]*decrypt.Keys{"without keys": nil, "with keys": {}} {
		_, err := build.Kustomization(t.Context(), tree, build.Spec{Decrypt: keys})
		if err == nil || !strings.HasPrefix(err.Error(), "cm.yaml: ConfigMap cm: data.a is still encrypted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheReadSetDoesNotDependOnValues(t *testing.T) {
	t.Parallel()
	spec := build.Spec{Path: "app", Components: []string{"../none"}, IgnoreMissingComponents: true}
	tree := application()
	r, err := build.Kustomization(t.Context(), tree, spec)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Reads.Unchanged(tree) {
		t.Error("the same tree counts as changed")
	}
	tree["none/kustomization.yaml"] = tree["labels/kustomization.yaml"]
	if r.Reads.Unchanged(tree) {
		t.Error("a component that came is not noticed")
	}
	if diff := cmp.Diff(true, r.Reads.Contains("none")); diff != "" {
		t.Error("the missing component is not in the read set")
	}
}
