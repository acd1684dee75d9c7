package apply_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
)

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing, listKind: ThingList}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

func (w *world) drop(key kube.Key) {
	w.Helper()
	if _, err := w.cluster.Delete(context.WithoutCancel(w.Context()), key, "", ""); err != nil {
		w.Error(err)
	}
}

// applyAll applies a set whose later stages wait for earlier ones.
func (w *world) applyAll(texts ...string) {
	w.Helper()
	for {
		_, err := w.try(w.objects(texts))
		notYet := new(apply.NotYet)
		if !errors.As(err, &notYet) {
			if err != nil {
				w.Fatal(err)
			}
			return
		}
		w.await()
	}
}

func TestDefinitionAndItsObjectsInOneSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.ns + ".example.com"
	crd := strings.ReplaceAll(definition, "GROUP", group)
	thing := `{apiVersion: ` + group + `/v1, kind: Thing, metadata: {name: a, namespace: NS}, spec: {size: 1}}`
	namespace := `{apiVersion: v1, kind: Namespace, metadata: {name: NS-more}}`
	inside := strings.Replace(settings(`a: "1"`), "namespace: NS", "namespace: NS-more", 1)
	t.Cleanup(func() { w.drop(kube.KeyOf(w.object(crd))); w.drop(kube.KeyOf(w.object(namespace))) })
	w.applyAll(thing, inside, namespace, crd)
	if got := actions(w.apply(thing, inside, namespace, crd)); strings.Count(got, "unchanged") != 4 {
		t.Errorf("got %s", got)
	}
}

// TestObjectsOfAnAPIService: they wait for the service, and nothing else does.
func TestObjectsOfAnAPIService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := "served-" + w.ns + ".example.com"
	service := `{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.` + group + `}, spec: {group: ` + group + `, version: v1, groupPriorityMinimum: 10, versionPriority: 10, insecureSkipTLSVerify: true, service: {name: none, namespace: NS}}}`
	thing := `{apiVersion: ` + group + `/v1, kind: Load, metadata: {name: a, namespace: NS}}`
	t.Cleanup(func() { w.drop(kube.KeyOf(w.object(service))) })
	_, err := w.try(w.objects([]string{thing, service, settings(`a: "1"`)}))
	notYet := new(apply.NotYet)
	if !errors.As(err, &notYet) || len(notYet.Keys) != 1 || notYet.Keys[0].GroupKind.Kind != "APIService" {
		t.Fatalf("got %v", err)
	}
	w.get(kube.KeyOf(w.object(settings(``))))
	w.get(kube.KeyOf(w.object(service)))
}

// TestRefusedRight: who may not do what, and where.
func TestRefusedRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	as, err := w.cluster.As(kube.ServiceAccount(w.ns, "deployer"))
	if err != nil {
		t.Fatal(err)
	}
	tenant := *w.Applier
	tenant.Cluster = as
	request := w.request(w.objects([]string{web}))
	plan, err := tenant.Plan(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tenant.Run(t.Context(), request, plan)
	want := "Deployment/" + w.ns + "/web dry-run failed: the account system:serviceaccount:" + w.ns + ":deployer may not patch deployments.apps in namespace " + w.ns + ": bind it to a Role that allows that"
	if got := asRefusal(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
