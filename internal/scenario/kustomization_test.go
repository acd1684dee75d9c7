package scenario_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testsops"
)

// A readyExpr takes the place of the rule for Ready, and any change of the
// dependency, of a label for example, is looked at at once.
func TestReadyExpressions(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/cm.yaml": configMap(w.NS, "cm", "x"), "other/cm.yaml": configMap(w.NS, "other", "x")}), "")
	w.Kustomization("backend", "./app", "")
	w.Kustomization("frontend", "./other", "dependsOn: [{name: backend, readyExpr: \"'version' in dep.metadata.?labels.orValue({}) && dep.metadata.labels['version'] == '2'\"}]")
	w.Kustomization("wrong", "./other", "dependsOn: [{name: backend, readyExpr: \"dep.(\"}]")
	w.Kustomization("lacking", "./other", "dependsOn: [{name: backend, readyExpr: \"dep.metadata.labels['none'] == 'x'\"}]")
	w.Start()
	w.Ready(w.Unit("backend"))
	w.NotReady(w.Unit("frontend"), "DependencyNotReady", "dependency '"+w.NS+"/backend' is not ready: its readyExpr is false")
	w.NotReady(w.Unit("wrong"), "DependencyNotReady", "spec.dependsOn[0].readyExpr")
	w.NotReady(w.Unit("lacking"), "DependencyNotReady", "no such key")
	w.Patch(w.Unit("backend"), "test", `{"metadata":{"labels":{"version":"2"}}}`)
	w.Ready(w.Unit("frontend"))
}

// Custom resources are healthy when spec.healthCheckExprs say so, whether they
// are the unit's own or only named.
func TestHealthExpressions(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	group := w.NS + ".example.com"
	definition := fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.%[1]s}
spec:
  group: %[1]s
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, group)
	widget := fmt.Sprintf("apiVersion: %s/v1\nkind: Widget\nmetadata: {name: one, namespace: %s}\n", group, w.NS)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/crd.yaml": definition, "app/widget.yaml": widget, "other/cm.yaml": configMap(w.NS, "cm", "x")}), "")
	exprs := "timeout: 1m\nhealthCheckExprs: [{apiVersion: " + group + "/v1, kind: Widget, current: \"status.phase == 'Done'\", failed: \"status.phase == 'Broken'\"}]"
	w.Kustomization("owner", "./app", "wait: true\n"+exprs)
	w.Kustomization("watcher", "./other", "dependsOn: []\nhealthChecks: [{apiVersion: "+group+"/v1, kind: Widget, name: one}]\n"+exprs)
	w.Kustomization("broken", "./other", strings.ReplaceAll(exprs, "status.phase == 'Done'", "status.("))
	w.Start()
	w.NotReady(w.Unit("owner"), "Progressing", "Widget/"+w.NS+"/one (InProgress")
	w.NotReady(w.Unit("broken"), "BuildFailed", "spec.healthCheckExprs[0].current of Widget")
	gvk := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Widget"}
	one := kube.Key{ObjMetadata: object.ObjMetadata{Namespace: w.NS, Name: "one", GroupKind: gvk.GroupKind()}, Version: "v1"}
	w.Refresh()
	w.Patch(one, "test", `{"status":{"phase":"Broken"}}`, "status")
	w.NotReady(w.Unit("owner"), "HealthCheckFailed", "Widget/"+w.NS+"/one (Failed")
	w.NotReady(w.Unit("watcher"), "HealthCheckFailed", "Widget/"+w.NS+"/one (Failed")
	w.Patch(one, "test", `{"status":{"phase":"Done"}}`, "status")
	w.Ready(w.Unit("owner"))
	w.Ready(w.Unit("watcher"))
}

// Files that SOPS encrypted are decrypted in memory; without the key nothing is
// applied, and the plaintext is nowhere but in the cluster.
func TestEncryptedSecrets(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	age, pgp := testsops.Age(t), testsops.OpenPGP(t)
	secret := func(name string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n    name: %s\n    namespace: %s\nstringData:\n    password: planted-%s\n", name, w.NS, name)
	}
	repo := w.Git.Repo(t, "repo", map[string]string{
		"age/secret.yaml":           testsops.Encrypt(t, "yaml", secret("age"), "^stringData$", age),
		"pgp/secret.yaml":           testsops.Encrypt(t, "yaml", secret("pgp"), "^stringData$", pgp),
		"files/kustomization.yaml":  "namespace: " + w.NS + "\nsecretGenerator: [{name: files, envs: [secret.env], options: {disableNameSuffixHash: true}}]\n",
		"files/secret.env":          testsops.Encrypt(t, "dotenv", "PASSWORD=planted-files\n", "", age),
		"nobody/secret.yaml":        testsops.Encrypt(t, "yaml", secret("nobody"), "^stringData$", testsops.Age(t)),
		"undeclared/encrypted.yaml": testsops.Encrypt(t, "yaml", secret("undeclared"), "^stringData$", age),
	})
	w.Source("repo", repo, "")
	decryption := "decryption: {provider: sops, secretRef: {name: keys}}"
	for _, name := range []string{"age", "pgp", "files", "nobody"} {
		w.Kustomization(name, "./"+name, decryption)
	}
	w.Kustomization("undeclared", "./undeclared", "")
	w.Kustomization("account", "./age", "decryption: {provider: sops, serviceAccountName: keys, secretRef: {name: keys}}")
	w.Start()
	w.NotReady(w.Unit("age"), "BuildFailed", "spec.decryption.secretRef: Secret/"+w.NS+"/keys not found")
	w.NotReady(w.Unit("undeclared"), "BuildFailed", "undeclared/encrypted.yaml", "spec.decryption")
	encode := base64.StdEncoding.EncodeToString
	w.Apply(fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: keys, namespace: %s}, data: {%s: %s, %s: %s}}", w.NS, age.Entry, encode(age.Private), pgp.Entry, encode(pgp.Private)))
	for _, name := range []string{"age", "pgp"} {
		w.Ready(w.Unit(name))
		w.Has(scenario.Key("Secret", w.NS, name), encode([]byte("planted-"+name)), "data", "password")
	}
	w.NotReady(w.Unit("account"), "BuildFailed", "spec.decryption.serviceAccountName: ServiceAccount/"+w.NS+"/keys not found")
	w.Apply(fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: keys, namespace: %s}}", w.NS))
	w.NotReady(w.Unit("account"), "BuildFailed", "lacks the annotations eks.amazonaws.com/role-arn")
	w.Ready(w.Unit("files"))
	w.Has(scenario.Key("Secret", w.NS, "files"), encode([]byte("planted-files")), "data", "PASSWORD")
	refused := w.NotReady(w.Unit("nobody"), "BuildFailed", "nobody/secret.yaml: can't be decrypted: it needs one of these keys", "age age1")
	for _, text := range []string{refused.Message, w.Log()} {
		if strings.Contains(text, "planted") || strings.Contains(text, "AGE-SECRET-KEY") {
			t.Errorf("a secret is told: %s", text)
		}
	}
	if found := w.Stored("planted"); found != "" {
		t.Errorf("plaintext on disk in %s", found)
	}
}
