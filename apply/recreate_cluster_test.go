package apply_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
)

const wayOut = "cannot be changed in place (%): set spec.force: true on the Kustomization (spec.upgrade.force on a HelmRelease), or the annotation kustomize.toolkit.fluxcd.io/force: enabled on the object, to have it recreated; or delete the object; or undo the change"

// immutables are objects with a change that the API server refuses.
var immutables = map[string]struct{ object, old, changed, refusal string }{
	"Job": {`{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: NS}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: "a:1"}]}}}}`,
		"a:1", "a:2", "Job/NS/a dry-run failed: spec.template.spec.containers[a].image " + strings.Replace(wayOut, "%", "field is immutable", 1)},
	"StatefulSet": {`{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, namespace: NS}, spec: {serviceName: a, replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: "a:1"}]}},
		volumeClaimTemplates: [{metadata: {name: d}, spec: {accessModes: [ReadWriteOnce], storageClassName: slow, resources: {requests: {storage: 1Gi}}}}]}}`,
		"slow", "fast", "StatefulSet/NS/a dry-run failed: spec.volumeClaimTemplates[0].spec.storageClassName " + strings.Replace(wayOut, "%", "updates to statefulset spec for fields other than", 1)},
	"claim": {`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: NS}, spec: {accessModes: [ReadWriteOnce], storageClassName: slow, resources: {requests: {storage: 1Gi}}}}`,
		"slow", "fast", "PersistentVolumeClaim/NS/a dry-run failed: spec.storageClassName " + strings.Replace(wayOut, "%", "is immutable after creation except resources.requests and volumeAttributesClassName for bound claims", 1)},
	"Service": {`{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {clusterIP: None, ports: [{port: 80}]}}`,
		"clusterIP: None", "type: NodePort, clusterIP: ''", "Service/NS/a dry-run failed: "},
	"Secret": {`{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}, type: example.com/hunter1, stringData: {a: b}}`,
		"hunter1", "hunter2", "Secret/NS/a dry-run failed: type " + strings.Replace(wayOut, "%", "field is immutable", 1)},
	"ConfigMap": {`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, immutable: true, data: {a: "1"}}`,
		`"1"`, `"2"`, "ConfigMap/NS/a dry-run failed: data.a " + strings.Replace(wayOut, "%", "field is immutable when `immutable` is set", 1)},
	"RoleBinding": {`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}`,
		"view", "edit", "RoleBinding/NS/a dry-run failed: roleRef.name " + strings.Replace(wayOut, "%", "cannot change roleRef", 1)},
}

func TestImmutableFields(t *testing.T) {
	t.Parallel()
	for name, c := range immutables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.apply(c.object)[0]
			uid := w.get(first.Key).GetUID()
			changed := strings.Replace(c.object, c.old, c.changed, 1)

			_, err := w.plan(changed)
			want := strings.ReplaceAll(c.refusal, "NS", w.ns)
			if name == "Service" { // whose refusal depends on the version of the server
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got %v", err)
				}
				return
			}
			if got := asRefusal(err); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}

			w.req.Force = true
			changes, err := w.try(w.objects([]string{changed}))
			for notYet := new(apply.NotYet); errors.As(err, &notYet); {
				w.gone(first.Key)
				changes, err = w.try(w.objects([]string{changed}))
			}
			if err != nil || len(changes) != 1 || changes[0].Action != apply.Recreated && changes[0].Action != apply.Created {
				t.Fatalf("got %s, %v", actions(changes), err)
			}
			if w.get(first.Key).GetUID() == uid {
				t.Error("it is the same object")
			}
			if again := w.apply(changed); actions(again) != first.Key.GroupKind.Kind+"/a unchanged" {
				t.Errorf("again: %s", actions(again))
			}
		})
	}
}

// TestForceByTheObject: the annotation does for one object what spec.force does.
func TestForceByTheObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := strings.Replace(immutables["Job"].object, "name: a,", "name: a, labels: {kustomize.toolkit.fluxcd.io/force: Enabled},", 1)
	w.expect("Job/a created", job)
	w.expect("Job/a recreated", strings.Replace(job, "a:1", "a:2", 1))
}

// TestRecreatedOnceItsFinalizerIsGone: what is to be recreated goes when its finalizer does.
func TestRecreatedOnceItsFinalizerIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := immutables["ConfigMap"]
	guarded := strings.Replace(c.object, "name: a,", "name: a, finalizers: [example.com/guard],", 1)
	w.expect("ConfigMap/a created", guarded)
	w.req.Force = true
	_, err := w.try(w.objects([]string{strings.Replace(c.object, c.old, c.changed, 1)}))
	notYet := new(apply.NotYet)
	if !errors.As(err, &notYet) || !strings.HasPrefix(err.Error(), "ConfigMap/"+w.ns+"/a is being deleted to be recreated, but something keeps it") {
		t.Fatalf("got %v", err)
	}
	w.patch("guard", w.have[0], "", `{"metadata":{"finalizers":null}}`)
	w.gone(w.have[0])
	w.expect("ConfigMap/a created", strings.Replace(c.object, c.old, c.changed, 1))
}

// TestDefinitionsAreNotRecreatedByForce: spec.force is no leave to delete all that is in
// a definition.
func TestDefinitionsAreNotRecreatedByForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crd := strings.ReplaceAll(definition, "GROUP", "force-"+w.ns+".example.com")
	w.apply(crd)
	t.Cleanup(func() { w.drop(w.have[0]) })
	w.current(w.have[0]) // before that its fields may still change
	w.req.Force = true
	_, err := w.plan(strings.Replace(crd, "scope: Namespaced", "scope: Cluster", 1))
	if got := asRefusal(err); !strings.Contains(got, "spec.scope cannot be changed in place (field is immutable): set the annotation") {
		t.Errorf("got %s", got)
	}
}

// TestGrownClaim: more storage is no immutable field, where the class allows it.
func TestGrownClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	class := `{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: grows-NS}, provisioner: example.com/none, allowVolumeExpansion: true}`
	claim := strings.Replace(immutables["claim"].object, "slow", "grows-NS", 1)
	w.expect("StorageClass/grows-"+w.ns+" created, PersistentVolumeClaim/a created", class, claim)
	t.Cleanup(func() { w.drop(kube.KeyOf(w.object(class))) })
	_, err := w.plan(class, strings.Replace(claim, "1Gi", "2Gi", 1))
	if got := asRefusal(err); !strings.HasPrefix(got, "PersistentVolumeClaim/"+w.ns+"/a dry-run failed: spec.resources.requests.storage cannot be changed in place") {
		t.Errorf("an unbound claim: %s", got)
	}
}

// TestExpiredJob: a Job that its ttlSecondsAfterFinished removed is done, and not
// run again for ever.
func TestExpiredJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := strings.Replace(immutables["Job"].object, "spec: {template", "spec: {ttlSecondsAfterFinished: 0, template", 1)
	w.expect("Job/a created", job)
	w.drop(w.have[0])
	w.gone(w.have[0])
	w.expect("Job/a unchanged", job)
	w.expect("Job/a created", strings.Replace(job, "a:1", "a:2", 1))
}
