package install_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/settings"
)

var update = flag.Bool("update", false, "write testdata anew")

func objects(t *testing.T, o install.Options) []*unstructured.Unstructured {
	t.Helper()
	objs, err := install.Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// find is the object of a kind and name.
func find(t *testing.T, objs []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, obj := range objs {
		if obj.GetKind() == kind && obj.GetName() == name {
			return obj
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

// TestGolden holds what is installed to testdata. The usual installation is in
// deploy/, which a test of the command line compares.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]install.Options{
		"openshift": {
			Namespace: "gitops", Image: "registry.example.com/plumb:v1", OpenShift: true, StorageSize: "5Gi", StorageClass: "fast",
			Settings: settings.Values{
				"workloadIdentity.enable": "true", "workloadIdentity.azureClientId": "12345678-1234-1234-1234-123456789abc",
				"workloadIdentity.azureTenantId": "22345678-1234-1234-1234-123456789abc", "setKubeServiceHostFqdn": "true",
			},
		},
		"shards": {Image: "registry.example.com/plumb:v1", Shards: 9, Replicas: 3},
		"no-tenancy": {
			Image: "registry.example.com/plumb:v1", Replicas: 2, PullSecret: "registry", LeaseNamespace: "leases",
			Settings: settings.Values{
				"multiTenancy.enforce": "false", "useKubeletIdentity": "true",
				"source-controller.resources.limits.memory": "2Gi", "helm-controller.resources.requests.cpu": "250m",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			for _, obj := range objects(t, o) {
				raw, err := yaml.Marshal(obj.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(raw)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("%s (go test ./install -update writes it anew):\n%s", file, d)
			}
		})
	}
}

// TestEveryObjectIsOfTheInstallation: what has no label would be left behind by
// `plumb uninstall`, and a kind that Kinds leaves out as well.
func TestEveryObjectIsOfTheInstallation(t *testing.T) {
	t.Parallel()
	o := install.Options{Namespace: "gitops", Image: "plumb:v1", StorageSize: "1Gi", Settings: settings.Values{"multiTenancy.enforce": "false"}}
	seen := map[string]bool{}
	for _, obj := range objects(t, o) {
		id := obj.GetKind() + "/" + obj.GetNamespace() + "/" + obj.GetName()
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		for label, value := range install.Labels("gitops") {
			if obj.GetLabels()[label] != value {
				t.Errorf("%s has no label %s=%s", id, label, value)
			}
		}
		if !slices.Contains(install.Kinds(), obj.GroupVersionKind()) {
			t.Errorf("%s: Kinds does not name %s", id, obj.GroupVersionKind())
		}
		if obj.GetNamespace() == "" && obj.GetKind() != "Namespace" && !strings.HasSuffix(obj.GetName(), "-gitops") {
			t.Errorf("%s: its name is not of this namespace alone", id)
		}
	}
}

// TestRightsFollowTenancy: units that act as the engine need all rights, and nobody else
// may then write a unit who could not before.
func TestRightsFollowTenancy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings settings.Values
		admin    bool
	}{
		"by default":          {nil, false},
		"off":                 {settings.Values{"multiTenancy.enforce": "false"}, true},
		"off, but an account": {settings.Values{"multiTenancy.enforce": "false", "default-service-account": "deployer"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objs := objects(t, install.Options{Image: "plumb:v1", Settings: tc.settings})
			admin := slices.ContainsFunc(objs, func(o *unstructured.Unstructured) bool { return o.GetName() == "plumb-cluster-admin-flux-system" })
			if admin != tc.admin {
				t.Errorf("the engine is cluster-admin: %t, want %t", admin, tc.admin)
			}
			_, aggregated := find(t, objs, "ClusterRole", "plumb-edit-flux-system").GetLabels()["rbac.authorization.k8s.io/aggregate-to-edit"]
			if aggregated == tc.admin {
				t.Errorf("edit is aggregated: %t", aggregated)
			}
			if labels := find(t, objs, "ClusterRole", "plumb-fluxconfig-edit-flux-system").GetLabels(); len(labels) != len(install.Labels("")) {
				t.Errorf("writing FluxConfigs is aggregated: %v", labels)
			}
			values, _, _ := unstructured.NestedStringMap(find(t, objs, "ConfigMap", "plumb-config").Object, "data")
			if want := tc.settings["multiTenancy.enforce"]; values["multiTenancy.enforce"] != want && want != "" || values["multiTenancy.enforce"] == "" {
				t.Errorf("the ConfigMap says %v", values)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]install.Options{
		`image "": want`: {},
		`image "a b"`:    {Image: "a b"},
		`namespace "No"`: {Image: "i", Namespace: "No"},
		`replicas -1`:    {Image: "i", Replicas: -1},
		`storage size "much": want an amount such as 5Gi`:                    {Image: "i", StorageSize: "much"},
		`a volume can be mounted by one replica`:                             {Image: "i", StorageSize: "1Gi", Replicas: 2},
		`shards -1: want 1 or more`:                                          {Image: "i", Shards: -1},
		`replicas 3: with 2 shards the others would have nothing to do`:      {Image: "i", Shards: 2, Replicas: 3},
		`a volume can be mounted by one`:                                     {Image: "i", StorageSize: "1Gi", Shards: 2},
		`a storage class is for a volume`:                                    {Image: "i", StorageClass: "fast"},
		`did you mean helm-controller.enabled`:                               {Image: "i", Settings: settings.Values{"helm-controler.enabled": "true"}},
		`resources.requests.memory 2Gi is above resources.limits.memory 1Gi`: {Image: "i", Settings: settings.Values{"helm-controller.resources.requests.memory": "2Gi"}},
		`resources.requests.cpu 2 is above resources.limits.cpu 1`: {Image: "i", Settings: settings.Values{
			"helm-controller.resources.requests.cpu": "2", "source-controller.resources.limits.cpu": "1",
		}},
	} {
		if _, err := install.Objects(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", o, err, want)
		}
	}
}

// TestReplicas: one pod for each shard where nobody says otherwise.
func TestReplicas(t *testing.T) {
	t.Parallel()
	for want, o := range map[int32]install.Options{1: {}, 3: {Replicas: 3}, 4: {Shards: 4}, 2: {Shards: 4, Replicas: 2}} {
		o.Image = "plumb:v1"
		if got, _, _, err := o.Checked(); err != nil || got.Replicas != want {
			t.Errorf("%+v: %d replicas, %v; want %d", o, got.Replicas, err, want)
		}
	}
}

func TestOnShards(t *testing.T) {
	t.Parallel()
	o := install.Options{Namespace: "gitops", Shards: 3, Replicas: 2}
	for name, tc := range map[string]struct {
		members, holders []string
		state            install.State
		text             string
	}{
		"shared":     {[]string{"a", "b"}, []string{"a", "b", "a"}, install.Right, "3 shards are worked on; engines: 2"},
		"one is out": {[]string{"a"}, []string{"a", "a", "a"}, install.Warning, "2 were asked for; see the pods of Deployment/gitops/plumb"},
		"free":       {[]string{"a", "b"}, []string{"a", "", "b"}, install.Problem, "nobody works on the shards 1 of 3"},
		"of a dead":  {[]string{"a"}, []string{"a", "b", "b"}, install.Problem, "nobody works on the shards 1, 2 of 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if f := install.OnShards(o, tc.members, tc.holders); f.Check != install.EngineCheck || f.State != tc.state || !strings.Contains(f.Message, tc.text) {
				t.Errorf("%+v, want %s with %q", f, tc.state, tc.text)
			}
		})
	}
}

func TestRemembered(t *testing.T) {
	t.Parallel()
	o := install.Options{
		Namespace: "gitops", Image: "plumb:v1", PullSecret: "registry", LeaseNamespace: "leases", Replicas: 1, Shards: 1, StorageSize: "5Gi", StorageClass: "fast", OpenShift: true,
	}
	deployment := find(t, objects(t, o), "Deployment", "plumb")
	if got, err := install.Remembered(deployment); err != nil || !cmp.Equal(got, o) {
		t.Errorf("%v, %s", err, cmp.Diff(o, got))
	}
	deployment.SetAnnotations(map[string]string{install.OptionsAnnotation: "{"})
	if _, err := install.Remembered(deployment); err == nil || !strings.Contains(err.Error(), "Deployment/gitops/plumb: annotation") {
		t.Errorf("what cannot be read: %v", err)
	}
	deployment.SetAnnotations(nil)
	if got, err := install.Remembered(deployment); err != nil || !cmp.Equal(got, install.Options{Namespace: "gitops", Image: "plumb:v1"}) {
		t.Errorf("nothing is remembered as %+v, %v", got, err)
	}
}
