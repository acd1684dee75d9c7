package kube

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"
)

func TestStage(t *testing.T) {
	t.Parallel()
	for want, kinds := range map[int][]schema.GroupKind{
		definitions: {
			{Kind: "Namespace"}, {Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
			{Group: "storage.k8s.io", Kind: "StorageClass"}, {Group: "scheduling.k8s.io", Kind: "PriorityClass"},
		},
		prerequisites: {
			{Kind: "ServiceAccount"}, {Kind: "ConfigMap"}, {Kind: "Secret"}, {Kind: "Service"}, {Kind: "PersistentVolumeClaim"},
			{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"},
		},
		workloads: {
			{Group: "apps", Kind: "Deployment"}, {Group: "batch", Kind: "Job"}, {Kind: "Pod"}, {Group: "networking.k8s.io", Kind: "Ingress"},
			{Group: "example.com", Kind: "Database"}, {Group: "example.com", Kind: "Namespace"}, {Group: "serving.knative.dev", Kind: "Service"}, {},
		},
		gates: {
			{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"},
			{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}, {Group: "apiregistration.k8s.io", Kind: "APIService"},
		},
	} {
		for _, gk := range kinds {
			if got := Stage(gk); got != want {
				t.Errorf("%s is of stage %d, want %d", gk, got, want)
			}
		}
	}
}

func TestStagesAreCounted(t *testing.T) {
	t.Parallel()
	if definitions >= prerequisites || prerequisites >= workloads || workloads >= gates || gates != Stages-1 {
		t.Error("the stages are out of order")
	}
	for gk, stage := range stageOf {
		if stage < 0 || stage >= Stages {
			t.Errorf("%s is of stage %d, of %d", gk, stage, Stages)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for want, obj := range map[string]map[string]any{
		"Deployment/shop/web":         {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"namespace": "shop", "name": "web"}},
		"Namespace/shop":              {"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop"}},
		"ClusterRole/system:x/viewer": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "system:x/viewer"}},
		"/":                           {},
	} {
		u := &unstructured.Unstructured{Object: obj}
		key := KeyOf(u)
		if key.String() != want || key.GVK() != u.GroupVersionKind() || key.Name != u.GetName() || key.Namespace != u.GetNamespace() {
			t.Errorf("got %q, %s, want %q", key, key.GVK(), want)
		}
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		gvr   schema.GroupVersionResource
		scope meta.RESTScope
	}{
		"/api/v1/namespaces/shop/configmaps/a":          {schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, meta.RESTScopeNamespace},
		"/api/v1/nodes/a":                               {schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, meta.RESTScopeRoot},
		"/apis/apps/v1/namespaces/shop/deployments/a":   {schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, meta.RESTScopeNamespace},
		"/apis/storage.k8s.io/v1beta1/storageclasses/a": {schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1beta1", Resource: "storageclasses"}, meta.RESTScopeRoot},
	} {
		key := Key{ObjMetadata: object.ObjMetadata{Namespace: "shop", Name: "a"}}
		if got := path(&meta.RESTMapping{Resource: c.gvr, Scope: c.scope}, key); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		uid types.UID
		rv  string
	}{"none": {}, "identity": {uid: "u"}, "version": {rv: "5"}, "both": {uid: "u", rv: "5"}} {
		p := preconditions(c.uid, c.rv)
		if (p.UID != nil) != (c.uid != "") || p.UID != nil && *p.UID != c.uid {
			t.Errorf("%s: the identity is %v", name, p.UID)
		}
		if (p.ResourceVersion != nil) != (c.rv != "") || p.ResourceVersion != nil && *p.ResourceVersion != c.rv {
			t.Errorf("%s: the version is %v", name, p.ResourceVersion)
		}
	}
}
