package scenario_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

// engineUser is the account that `plumb install` makes.
const engineUser = "system:serviceaccount:flux-system:plumb"

// asInstalled starts an engine as the Deployment does, with the token of its account.
func asInstalled(t *testing.T, w *scenario.World) {
	t.Helper()
	w.StartAs([]string{"POD_NAMESPACE=flux-system"}, installedArguments(t, w)...)
}

// installedArguments are those that the Deployment starts an engine with, as far as
// this machine can, and a kubeconfig with the token of its account.
func installedArguments(t *testing.T, w *scenario.World) []string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(w.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.Token(t.Context(), "flux-system", "plumb", "https://kubernetes.default.svc")
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range config.AuthInfos {
		info.ClientCertificate, info.ClientCertificateData, info.ClientKey, info.ClientKeyData, info.Token = "", nil, "", nil, token
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	deployment := w.Get(scenario.Key("Deployment", "flux-system", "plumb"))
	containers, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	storage := t.TempDir()
	for i, arg := range args { // the ports of this machine are not the container's alone
		flag, value, _ := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(value, ":"):
			args[i] = flag + "=127.0.0.1:0"
		case flag == "--storage-path":
			args[i] = flag + "=" + storage
		}
	}
	return append(args, "--kubeconfig", file, "--log-format", "text", "--max-status-inventory", "0")
}

// fleet is what a repository of the tests of rights holds, for a namespace.
func fleet(ns string) map[string]string {
	return map[string]string{
		"app/cm.yaml":               "{apiVersion: v1, kind: ConfigMap, metadata: {name: app}, data: {value: x}}\n",
		"app/kustomization.yaml":    "namespace: " + ns + "\nresources: [cm.yaml, release.yaml]\n",
		"app/release.yaml":          "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: release}\nspec:\n  interval: 1h\n  chart: {spec: {chart: ./chart, sourceRef: {kind: GitRepository, name: team}}}\n",
		"chart/Chart.yaml":          "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
		"chart/templates/cm.yaml":   "{apiVersion: v1, kind: ConfigMap, metadata: {name: released}}\n",
		"remote/cm.yaml":            "{apiVersion: v1, kind: ConfigMap, metadata: {name: remote, namespace: " + ns + "}}\n",
		"remote/kustomization.yaml": "resources: [cm.yaml]\n",
	}
}

// everything are objects that make an engine do all that it does, in a namespace.
func everything(t *testing.T, w *scenario.World, ns, url string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(w.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	var server, ca string
	for _, cluster := range config.Clusters {
		server, ca = cluster.Server, string(cluster.CertificateAuthorityData)
		if ca == "" {
			raw, err := os.ReadFile(cluster.CertificateAuthority)
			if err != nil {
				t.Fatal(err)
			}
			ca = string(raw)
		}
	}
	return fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}
---
apiVersion: clusterconfig.azure.com/v1alpha1
kind: FluxConfig
metadata: {name: team, namespace: %[1]s}
spec:
  scope: namespace
  gitRepository: {url: %[2]s, ref: {branch: main}}
  kustomizations: [{name: app, path: ./app, prune: true}]
---
{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s-whole}}
---
{apiVersion: v1, kind: Secret, metadata: {name: parameters, namespace: %[1]s-whole}, data: {httpsKey: %[3]s}}
---
apiVersion: clusterconfig.azure.com/v1alpha1
kind: FluxConfig
metadata: {name: whole, namespace: %[1]s-whole}
spec:
  scope: cluster
  suspend: true
  protectedParametersSecretRef: {name: parameters}
  gitRepository: {url: %[2]s, ref: {branch: main}, httpsUser: git}
---
apiVersion: clusterconfig.azure.com/v1alpha1
kind: FluxConfig
metadata: {name: bucket, namespace: %[1]s}
spec:
  scope: namespace
  sourceKind: Bucket
  bucket: {url: "http://127.0.0.1:1", bucketName: none, insecure: true}
---
apiVersion: clusterconfig.azure.com/v1alpha1
kind: FluxConfig
metadata: {name: artifact, namespace: %[1]s}
spec:
  scope: namespace
  sourceKind: OCIRepository
  ociRepository: {url: "oci://127.0.0.1:1/none"}
---
{apiVersion: source.toolkit.fluxcd.io/v1, kind: HelmRepository, metadata: {name: charts, namespace: %[1]s, finalizers: [finalizers.fluxcd.io]}, spec: {interval: 1h, url: "http://127.0.0.1:1"}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: %[1]s}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: %[1]s}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: there, namespace: %[1]s}
data: {provider: generic, address: %[4]s, serviceAccountName: deployer, audiences: "https://kubernetes.default.svc", ca.crt: %[5]q}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: remote, namespace: %[1]s}
spec: {interval: 1h, path: ./remote, prune: true, kubeConfig: {configMapRef: {name: there}}, sourceRef: {kind: GitRepository, name: team}}
`, ns, url, base64.StdEncoding.EncodeToString([]byte("a-password-of-somebody")), server, ca)
}

// settled waits until all of everything is as it can be.
func settled(w *scenario.World, ns string) {
	w.Ready(scenario.Key("FluxConfig", ns, "team"), "Compliant")
	w.Ready(scenario.Key("HelmRelease", ns, "release"))
	w.Ready(scenario.Key("Kustomization", ns, "remote"))
	w.There(scenario.Key("Secret", ns+"-whole", "whole-auth"))
	w.There(scenario.Key("ClusterRoleBinding", "", "flux-applier-binding-"+ns+"-whole"))
	for _, source := range []string{"Bucket/bucket", "OCIRepository/artifact", "HelmRepository/charts"} {
		kind, name, _ := strings.Cut(source, "/")
		w.Until(scenario.Key(kind, ns, name), "it has a status", func(obj *unstructured.Unstructured) bool {
			if obj == nil {
				return false
			}
			conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
			return len(conditions) > 0
		})
	}
}

// takenDown deletes everything and waits until the engine has let it go.
func takenDown(w *scenario.World, ns string) {
	all := []kube.Key{
		scenario.Key("Kustomization", ns, "remote"), scenario.Key("FluxConfig", ns+"-whole", "whole"), scenario.Key("FluxConfig", ns, "bucket"),
		scenario.Key("FluxConfig", ns, "artifact"), scenario.Key("FluxConfig", ns, "team"), scenario.Key("HelmRepository", ns, "charts"),
	}
	for _, key := range all {
		w.Delete(key)
	}
	for _, key := range all {
		w.Gone(key)
	}
}

// need is one right that a request of the engine's took.
type need struct{ verb, group, resource, name string }

// needsOf are the rights that requests took, by what the server asks for each: a
// patch that creates needs the right to create, a request as somebody else that to
// act so, and what gives rights away those to give more than one has.
func needsOf(events []scenario.Event) map[need]bool {
	out := map[need]bool{}
	for _, e := range events {
		if e.User.Username != engineUser || e.ObjectRef.Resource == "" {
			continue
		}
		if e.ImpersonateUser.Username != "" {
			out[need{"impersonate", "", "serviceaccounts", ""}] = true
			continue
		}
		r := need{e.Verb, e.ObjectRef.APIGroup, e.ObjectRef.Resource, e.ObjectRef.Name}
		if e.ObjectRef.Subresource != "" {
			r.resource += "/" + e.ObjectRef.Subresource
		}
		out[r] = true
		if e.Verb != "patch" || e.ResponseStatus.Code != 201 {
			continue
		}
		out[need{"create", r.group, r.resource, r.name}] = true
		switch r.resource {
		case "roles":
			out[need{"escalate", r.group, r.resource, r.name}] = true
		case "rolebindings":
			out[need{"bind", r.group, "roles", "flux-applier"}] = true
		case "clusterrolebindings":
			out[need{"bind", r.group, "clusterroles", "cluster-admin"}] = true
		}
	}
	return out
}

// allows tells whether a rule gives a right.
func allows(rule rbacv1.PolicyRule, n need) bool {
	has := func(list []string, value string) bool {
		return slices.Contains(list, value) || slices.Contains(list, "*")
	}
	return has(rule.Verbs, n.verb) && has(rule.APIGroups, n.group) && has(rule.Resources, n.resource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, n.name))
}

// engineRules are all that the engine has.
func engineRules() []rbacv1.PolicyRule {
	return slices.Concat(install.EngineRules(), install.LeaseRules())
}

// atoms are rules, each split into single rights.
func atoms(rules []rbacv1.PolicyRule) (out []rbacv1.PolicyRule) {
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					out = append(out, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: r.ResourceNames})
				}
			}
		}
	}
	return out
}

// inForce waits until the engine's account has a right of a rule, or has it no more.
func inForce(w *scenario.World, has bool, r rbacv1.PolicyRule, namespace string) {
	w.TB().Helper()
	right := scenario.Right{Verb: r.Verbs[0], Group: r.APIGroups[0], Resource: r.Resources[0], Namespace: namespace}
	right.Resource, right.Subresource, _ = strings.Cut(right.Resource, "/")
	if len(r.ResourceNames) > 0 {
		right.Name = r.ResourceNames[0]
	}
	w.May(engineUser, has, right)
}

func ruleName(r rbacv1.PolicyRule) string {
	return strings.Join(r.Verbs, ",") + " " + strings.Trim(strings.Join(r.Resources, ",")+"."+strings.Join(r.APIGroups, ","), ".")
}

// TestInstalledRights: the engine works with the rights that `plumb install` gives
// to its account. Nothing is refused, and there is no right that nothing needs.
func TestInstalledRights(t *testing.T) {
	t.Parallel()
	w := scenario.Alone(t)
	plumb(t, w.Kubeconfig, 0, "install", "--image", "plumb:v1")
	w.Refresh()
	inForce(w, true, install.EngineRules()[0], "")
	inForce(w, true, install.LeaseRules()[0], "kube-system")
	repo := w.Git.Repo(t, "team", fleet("team"))
	mark := w.Mark(t)
	asInstalled(t, w)
	w.Apply(everything(t, w, "team", repo.URL))
	settled(w, "team")
	checkSays(t, w, 0, "engine", "works on this cluster", "--installed")
	w.Patch(scenario.Key("ConfigMap", "team", "app"), "somebody", `{"data":{"value":"drifted"}}`)
	w.Has(scenario.Key("ConfigMap", "team", "app"), "x", "data", "value")
	files := fleet("team")
	files["app/release.yaml"] = strings.Replace(files["app/release.yaml"], "interval: 1h", "interval: 2h", 1)
	repo.Commit(files)
	w.Patch(scenario.Key("GitRepository", "team", "team"), "test", `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"now"}}}`)
	w.Has(scenario.Key("HelmChart", "team", "team-release"), "2h0m0s", "spec", "interval")
	takenDown(w, "team")

	events := w.Audit(t, mark, engineUser)
	t.Run("nothing is refused", func(t *testing.T) {
		for _, e := range events {
			if e.User.Username == engineUser && e.ResponseStatus.Code == 403 {
				t.Errorf("%s was refused, as %q", e, e.ImpersonateUser.Username)
			}
		}
	})
	needs := needsOf(events)
	rights := atoms(engineRules())
	for i, right := range rights {
		t.Run("needed/"+ruleName(right), func(t *testing.T) {
			others := slices.Delete(slices.Clone(rights), i, i+1)
			for n := range needs {
				if allows(right, n) && !slices.ContainsFunc(others, func(r rbacv1.PolicyRule) bool { return allows(r, n) }) {
					return
				}
			}
			t.Error("no request of the engine's needs this right")
		})
	}
	role, lease := scenario.Key("ClusterRole", "", "plumb-engine-flux-system"), scenario.Key("Role", "kube-system", "plumb-lease-flux-system")
	for i := range install.EngineRules() {
		withoutRule(t, w, role, install.EngineRules(), i, func(ns string) {
			w.Apply(everything(t, w, ns, w.Git.Repo(t, ns, fleet(ns)).URL))
			w.Delete(scenario.Key("HelmRepository", ns, "charts"))
		})
	}
	withoutRule(t, w, lease, install.LeaseRules(), 0, func(string) { w.Delete(scenario.Key("Lease", "kube-system", install.Lease)) })
	withoutRule(t, w, lease, install.LeaseRules(), 1, func(string) {})
	if code := w.Stop(); code != 0 {
		t.Errorf("the engine ended with exit code %d", code)
	}
	installedShards(t, w)
	uninstallsWithWorkloads(t, w)
}

// withoutRule takes one rule away from the running engine, gives it something to do
// in a namespace of its own, and waits until the server refuses what that rule is
// for. Then the rule is there again.
func withoutRule(t *testing.T, w *scenario.World, role kube.Key, rules []rbacv1.PolicyRule, i int, work func(ns string)) {
	t.Run("without/"+ruleName(rules[i]), func(t *testing.T) {
		setRules(t, w, role, slices.Delete(slices.Clone(rules), i, i+1))
		inForce(w, false, rules[i], role.Namespace)
		defer func() {
			setRules(t, w, role, rules)
			inForce(w, true, rules[i], role.Namespace)
		}()
		mark := w.Mark(t)
		work(fmt.Sprintf("without-%d", i))
		w.Await(t, mark, engineUser, "refusal", func(e scenario.Event) bool {
			if e.ResponseStatus.Code != 403 {
				return false
			}
			// What is refused because of rights that would be given away is the write of
			// the binding or role, and of an impersonation whatever request is behind it.
			refused := need{e.Verb, e.ObjectRef.APIGroup, e.ObjectRef.Resource, e.ObjectRef.Name}
			if e.ObjectRef.Subresource != "" {
				refused.resource += "/" + e.ObjectRef.Subresource
			}
			switch rules[i].Verbs[0] {
			case "impersonate":
				return strings.Contains(e.ResponseStatus.Message, "cannot impersonate")
			case "bind":
				return refused.resource == "clusterrolebindings"
			default:
				return allows(rules[i], refused) || refused.verb == "patch" && allows(rules[i], need{"create", refused.group, refused.resource, refused.name})
			}
		})
	})
}

func setRules(t *testing.T, w *scenario.World, role kube.Key, rules []rbacv1.PolicyRule) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"rules": rules})
	if err != nil {
		t.Fatal(err)
	}
	w.Patch(role, "test", string(raw))
}
