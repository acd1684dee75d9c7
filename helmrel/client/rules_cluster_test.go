package client_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// installed is an install with settings of its own.
func (w *world) installed(o client.Options, set func(*action.Install), texts ...string) error {
	w.Helper()
	o.Cluster, o.View, o.Release, o.ServerSide = w.as, w.view, "web", w.ssa
	o.Owner = live.User{Kind: helmv2.HelmReleaseKind, NamespacedName: types.NamespacedName{Namespace: w.ns, Name: "web"}}
	if o.Namespace == "" {
		o.Namespace = w.ns
	}
	c := client.New(w.Context(), o)
	install := action.NewInstall(w.configured(c))
	install.ReleaseName, install.Namespace, install.Timeout = "web", o.Namespace, patience
	set(install)
	_, err := install.RunWithContext(w.Context(), charted(texts), nil)
	w.learn(c)
	return err
}

func TestWhatIsThereIsNotTakenOverUnlessThatIsWished(t *testing.T) {
	t.Parallel()
	for name, serverSide := range map[string]bool{"server-side": true, "client-side": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, serverSide)
			there := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
				"metadata": map[string]any{"name": "a", "namespace": w.ns}, "data": map[string]any{"a": "theirs", "b": "theirs"}}}
			if _, err := w.cluster.Apply(t.Context(), there, kube.ApplyOptions{Manager: "someone"}); err != nil {
				t.Fatal(err)
			}
			err := w.installed(client.Options{}, func(*action.Install) {}, configMap("a", "1"))
			if err == nil || !strings.Contains(err.Error(), "exists and cannot be imported into the current release") {
				t.Errorf("got %v", err)
			}
			w.store.Driver.(interface{ SetNamespace(string) }).SetNamespace(w.ns)
			if _, err := w.install(configMap("a", "1")); err != nil {
				t.Fatal(err)
			}
			obj := w.get(w.key("", "ConfigMap", "a"))
			data, _, _ := unstructured.NestedStringMap(obj.Object, "data")
			if data["a"] != "1" || data["b"] != "theirs" || obj.GetLabels()[helmv2.NameLabel] != "web" || obj.GetLabels()["app.kubernetes.io/managed-by"] != "Helm" {
				t.Errorf("got %v, %v", data, obj.GetLabels())
			}
		})
	}
}

// Force is for what cannot be changed in place.
func TestForce(t *testing.T) {
	t.Parallel()
	job := func(image string) string {
		return `{apiVersion: batch/v1, kind: Job, metadata: {name: once}, spec: {template: {metadata: {labels: {app: once}}, spec: {restartPolicy: Never, containers: [{name: once, image: ` + image + `}]}}}}`
	}
	for name, serverSide := range map[string]bool{"server-side": true, "client-side": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, serverSide)
			if _, err := w.install(job("a")); err != nil {
				t.Fatal(err)
			}
			before := w.get(w.key("batch", "Job", "once")).GetUID()
			if _, err := w.upgrade(false, job("b")); err == nil || !strings.Contains(err.Error(), "Job/"+w.ns+"/once") {
				t.Errorf("without force: %v", err)
			}
			if _, err := w.upgrade(true, job("b")); err != nil {
				t.Errorf("with force: %v", err)
			}
			if after := w.get(w.key("batch", "Job", "once")).GetUID(); after == before {
				t.Error("it was not recreated")
			}
		})
	}
}

func TestWhatIsToBeKeptIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	kept := `{apiVersion: v1, kind: ConfigMap, metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}}`
	if _, err := w.install(kept, configMap("a", "1"), configMap("b", "1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.upgrade(false, configMap("b", "1")); err != nil {
		t.Fatal(err)
	}
	w.get(w.key("", "ConfigMap", "kept"))
	if _, err := w.cluster.Get(t.Context(), w.key("", "ConfigMap", "a")); !apierrors.IsNotFound(err) {
		t.Errorf("what left: %v", err)
	}
}

func TestTheNamespaceIsMadeAndTemplatesLookUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	found := `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {uid: {{ (lookup "v1" "Namespace" "" "` + w.ns + `").metadata.uid | quote }}}}`
	fresh := w.ns + "-fresh"
	err := w.installed(client.Options{Namespace: fresh, CreatesNamespace: true}, func(i *action.Install) { i.CreateNamespace = true }, found)
	if err != nil {
		t.Fatal(err)
	}
	at := w.key("", "ConfigMap", "a")
	at.Namespace = fresh
	uid, _, _ := unstructured.NestedString(w.get(at).Object, "data", "uid")
	space := func(name string) kube.Key {
		return kube.Key{ObjMetadata: object.ObjMetadata{Name: name, GroupKind: schema.GroupKind{Kind: "Namespace"}}, Version: "v1"}
	}
	if uid != string(w.get(space(w.ns)).GetUID()) {
		t.Errorf("the template has found %q", uid)
	}
	made := w.get(space(fresh))
	if made.GetLabels()[helmv2.NameLabel] != "" {
		t.Errorf("the namespace belongs to the release: %v", made.GetLabels())
	}
	if _, err := w.cluster.Delete(t.Context(), space(fresh), "", ""); err != nil {
		t.Error(err)
	}
}

func definition(group, description string) []byte {
	return fmt.Appendf(nil, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.%[1]s},
 spec: {group: %[1]s, scope: Namespaced, names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true,
 schema: {openAPIV3Schema: {type: object, description: %[2]s, x-kubernetes-preserve-unknown-fields: true}}}]}}`, group, description)
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	group := w.ns + ".example.com"
	key := kube.Key{ObjMetadata: object.ObjMetadata{Name: "things." + group, GroupKind: schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}}, Version: "v1"}
	t.Cleanup(func() {
		if _, err := w.cluster.DeleteAs(context.WithoutCancel(t.Context()), key, "Background"); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []struct{ policy, description, want string }{
		{helmv2.CRDsSkip, "one", ""}, {helmv2.CRDsCreate, "one", "one"}, {helmv2.CRDsCreate, "two", "one"}, {helmv2.CRDsCreateReplace, "three", "three"},
	} {
		c := w.client(t.Context())
		if err := c.Definitions([][]byte{definition(group, step.description)}, step.policy, patience); err != nil {
			t.Fatal(err)
		}
		got := ""
		if obj, err := w.cluster.Get(t.Context(), key); err == nil {
			versions, _, _ := unstructured.NestedSlice(obj.Object, "spec", "versions")
			got, _, _ = unstructured.NestedString(versions[0].(map[string]any), "schema", "openAPIV3Schema", "description")
		} else if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		if _, err := w.as.Mapping(schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Thing"}); step.want != "" && err != nil {
			t.Errorf("%s of %s: the kind is not to be found: %v", step.policy, step.description, err)
		}
		if got != step.want {
			t.Errorf("%s of %s: it says %q, want %q", step.policy, step.description, got, step.want)
		}
	}
	// One that is there stays as it is, so what only the chart's has is not waited for.
	other := bytes.ReplaceAll(definition(group, "four"), []byte("name: v1,"), []byte("name: v2,"))
	if err := w.client(t.Context()).Definitions([][]byte{other}, helmv2.CRDsCreate, patience); err != nil {
		t.Error(err)
	}
	if _, err := w.install(`{apiVersion: ` + group + `/v1, kind: Thing, metadata: {name: a}}`); err != nil {
		t.Error(err)
	}
}

// Kinds that the cluster does not serve are in nobody's way where they only have to go.
func TestUnknownKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	unknown := `{apiVersion: none.example.com/v1, kind: Nothing, metadata: {name: a}}`
	if _, err := w.install(unknown); err == nil || !strings.Contains(err.Error(), "the cluster has no kind Nothing") {
		t.Errorf("got %v", err)
	}
	c := w.client(t.Context())
	list, err := c.Build(strings.NewReader(unknown), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := c.Delete(list); len(errs) > 0 {
		t.Error(errs)
	}
	if err := c.WaitForDelete(list, patience); err != nil {
		t.Error(err)
	}
}

// patch changes an object behind the release's back, and waits until the view tells.
func (w *world) patch(key kube.Key, patch string) {
	w.Helper()
	seen := make(chan struct{}, 1)
	defer w.view.Listen([]kube.Key{key}, func(live.Change) {
		select {
		case seen <- struct{}{}:
		default: // one is enough to look again
		}
	})()
	// Controllers write as well: what comes first need not be this.
	for version := w.intrude(key, patch); ; {
		if r, ok := w.view.Get("HelmRelease", key); ok && !live.Older(r.ResourceVersion, version) {
			return
		}
		select {
		case <-seen:
		case <-w.Context().Done():
			w.Fatal("the view does not tell of " + key.String())
		}
	}
}

// intrude changes an object behind the release's back, and returns its new version.
func (w *world) intrude(key kube.Key, patch string) string {
	w.Helper()
	resource, err := w.cluster.Resource(key.GVK(), key.Namespace)
	if err != nil {
		w.Fatal(err)
	}
	obj, err := resource.Patch(w.Context(), key.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "intruder"})
	if err != nil {
		w.Fatal(err)
	}
	return obj.GetResourceVersion()
}
