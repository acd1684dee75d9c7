package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plumb-gitops/plumb/internal/errlist"
	"github.com/plumb-gitops/plumb/internal/kube"
)

func TestUnknownKindSaysTheWayOut(t *testing.T) {
	t.Parallel()
	err := &UnknownKind{Key: key(t, "{apiVersion: example.com/v1, kind: Database, metadata: {name: a, namespace: shop}}")}
	const want = "Database/shop/a: the cluster has no kind Database in example.com/v1: install its CustomResourceDefinition, or add it to this set"
	if err.Error() != want {
		t.Errorf("got %q", err)
	}
	for _, e := range []error{err, fmt.Errorf("x: %w", err), errors.Join(errors.New("x"), err)} {
		if !IsUnknownKind(e) {
			t.Errorf("%v is not recognised", e)
		}
	}
	if gvk, ok := NamedUnknownKind("Helm install failed: " + err.Error()); !ok || gvk != err.Key.GVK() {
		t.Errorf("found %v, %t in its text", gvk, ok)
	}
	if gvk, ok := NamedUnknownKind("the cluster has no room"); ok {
		t.Errorf("found %v in another text", gvk)
	}
	if IsUnknownKind(nil) || IsUnknownKind(errors.New("x")) {
		t.Error("other errors are taken for it")
	}
}

// invalid is the server's answer to fields that it does not take.
func invalid(kind string, errs ...*field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: kind}, "a", errs)
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	const wayOut = ": set spec.force: true on the Kustomization (spec.upgrade.force on a HelmRelease), or the annotation kustomize.toolkit.fluxcd.io/force: enabled on the object, to have it recreated; or delete the object; or undo the change"
	path := field.NewPath("spec", "x")
	for name, c := range map[string]struct {
		kind string
		err  error
		want string
	}{
		"leads with the object": {"Service", errors.New("no"), "Service/shop/a dry-run failed: no"},
		"shows values":          {"Service", invalid("Service", field.Invalid(path, "80", "no")), `Service/shop/a dry-run failed: Service "a" is invalid: spec.x: Invalid value: "80": no`},
		"tells of force": {"Job", invalid("Job", field.Invalid(path, "x", "field is immutable")),
			`Job/shop/a dry-run failed: Job "a" is invalid: spec.x: Invalid value: "x": field is immutable` + wayOut},
		"tells of force for stateful sets": {"StatefulSet", invalid("StatefulSet", field.Forbidden(path, "updates to statefulset spec for fields other than 'replicas' are forbidden")),
			`StatefulSet/shop/a dry-run failed: StatefulSet "a" is invalid: spec.x: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden` + wayOut},
		"hides text of secrets": {"Secret", invalid("Secret", field.Invalid(path, `hun"ter\2 x`, "no")),
			`Secret/shop/a dry-run failed: Secret "a" is invalid: spec.x: Invalid value: (hidden): no`},
		"hides numbers of secrets": {"Secret", invalid("Secret", field.Invalid(path, 1234, "no")),
			`Secret/shop/a dry-run failed: Secret "a" is invalid: spec.x: Invalid value: (hidden): no`},
		"hides all values of secrets": {"Secret", invalid("Secret", field.Invalid(path, "one", "no"), field.Invalid(path, "two", "no")),
			`Secret/shop/a dry-run failed: Secret "a" is invalid: [spec.x: Invalid value: (hidden): no, spec.x: Invalid value: (hidden): no]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := refused(key(t, "{apiVersion: v1, kind: "+c.kind+", metadata: {name: a, namespace: shop}}"), "dry-run", c.err)
			if err.Error() != c.want {
				t.Errorf("got  %q\nwant %q", err, c.want)
			}
			if !errors.Is(err, c.err) {
				t.Error("the server's error is lost")
			}
		})
	}
}

// What the server says of the values that it was sent, as it says it.
func TestRefusalHidesSecrets(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"type of a field": `failed to create typed patch object (shop/a; /v1, Kind=Secret): .stringData.pin: expected string, got &value.valueUnstructured{Value:31337}`,
		"structure":       `Secret "a" is invalid: data: Invalid value: {"pin":"31337"}: must be validated`,
		"structure in Go": `Secret "a" is invalid: data: Invalid value: map[string]string{"pin":"31337"}: must be validated`,
		"several lines":   "Secret \"a\" is invalid: data: Invalid value: \"x\\n31337\": no",
		"enumeration":     `Secret "a" is invalid: type: Unsupported value: "31337": supported values: "a"`,
		"duplicate":       `Secret "a" is invalid: metadata.x: Duplicate value: "31337"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := refused(key(t, "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: shop}}"), "dry-run", errors.New(text))
			if strings.Contains(err.Error(), "31337") {
				t.Errorf("a value shows: %s", err)
			}
		})
	}
}

func TestImmutable(t *testing.T) {
	t.Parallel()
	path := field.NewPath("spec")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"none":                  {nil, false},
		"immutable field":       {invalid("Job", field.Invalid(path, "x", "field is immutable")), true},
		"stateful set":          {invalid("StatefulSet", field.Forbidden(path, "updates to statefulset spec for fields other than 'replicas' are forbidden")), true},
		"claim":                 {invalid("PersistentVolumeClaim", field.Forbidden(path, "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")), true},
		"address of a service":  {invalid("Service", field.Invalid(path.Child("clusterIPs").Index(0), "x", "may not change once set")), true},
		"role of a binding":     {invalid("RoleBinding", field.Invalid(field.NewPath("roleRef"), "x", "cannot change roleRef")), true},
		"storage class":         {invalid("StorageClass", field.Forbidden(field.NewPath("parameters"), "updates to parameters are forbidden.")), true},
		"priority class":        {invalid("PriorityClass", field.Forbidden(field.NewPath("value"), "may not be changed in an update.")), true},
		"pod":                   {invalid("Pod", field.Forbidden(path, "pod updates may not change fields other than `spec.containers[*].image`")), true},
		"config map":            {invalid("ConfigMap", field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set")), true},
		"a rule of a CRD":       {invalid("Database", field.Invalid(path.Child("engine"), "x", "Value is immutable")), true},
		"a webhook's denial":    {apierrors.NewForbidden(schema.GroupResource{Resource: "jobs"}, "a", errors.New(`admission webhook "v.example.com" denied the request: spec.engine is immutable`)), true},
		"a webhook's other":     {apierrors.NewForbidden(schema.GroupResource{Resource: "jobs"}, "a", errors.New(`admission webhook "v.example.com" denied the request: no`)), false},
		"a claim that shrinks":  {invalid("PersistentVolumeClaim", field.Forbidden(path.Child("resources"), "field can not be less than status.capacity")), false},
		"invalid otherwise":     {invalid("Job", field.Invalid(path, "x", "too long")), false},
		"a webhook's opinion":   {apierrors.NewForbidden(schema.GroupResource{Resource: "jobs"}, "a", errors.New("immutable")), false},
		"an error of our own":   {errors.New("immutable"), false},
		"wrapped by the caller": {fmt.Errorf("x: %w", invalid("Job", field.Invalid(path, "x", "field is immutable"))), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := immutable(c.err); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	path := field.NewPath("spec")
	live := parse(t, `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: {replicas: 1, serviceName: a, volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: slow, volumeMode: Filesystem}}]}}`)
	wanted := parse(t, `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, labels: {x: y}}, spec: {replicas: 2, serviceName: a, volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: fast}}]}}`)
	refusal := invalid("StatefulSet", field.Forbidden(path, "updates to statefulset spec for fields other than 'replicas' and 'template' are forbidden"))
	for name, c := range map[string]struct {
		err  error
		live *unstructured.Unstructured
		want string
	}{
		"what differs, but for what may": {refusal, live, "spec.volumeClaimTemplates[0].spec.storageClassName"},
		"what the server says, unseen":   {refusal, nil, "spec"},
		"what the server says, exactly":  {invalid("Service", field.Invalid(path.Child("clusterIPs").Index(0), "x", "may not change once set")), live, "spec.clusterIPs[0]"},
		"only what is immutable":         {invalid("Job", field.Invalid(path.Child("a"), "x", "too long"), field.Invalid(path.Child("b"), "x", "field is immutable")), live, "spec.b"},
		"nothing":                        {errors.New("immutable"), live, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(locked(c.err, wanted, c.live), ", "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRefusalNamesTheField(t *testing.T) {
	t.Parallel()
	err := invalid("Secret", field.Invalid(field.NewPath("type"), "hunter2", "field is immutable"))
	for kind, want := range map[string]string{
		"Secret":    "Secret/a dry-run failed: type cannot be changed in place (field is immutable): set spec.force: true on the Kustomization (spec.upgrade.force on a HelmRelease), or the annotation kustomize.toolkit.fluxcd.io/force: enabled on the object, to have it recreated; or delete the object; or undo the change",
		"Namespace": "Namespace/a dry-run failed: type cannot be changed in place (field is immutable): set the annotation kustomize.toolkit.fluxcd.io/force: enabled on the object, to have it recreated; or delete the object; or undo the change",
	} {
		refusal := &Refusal{Key: key(t, "{apiVersion: v1, kind: "+kind+", metadata: {name: a}}"), Op: "dry-run", Err: err, Fields: []string{"type"}}
		if refusal.Error() != want {
			t.Errorf("got  %s\nwant %s", refusal, want)
		}
	}
}

func TestRefusalNamesTheRight(t *testing.T) {
	t.Parallel()
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "web",
		errors.New(`User "system:serviceaccount:team:deployer" cannot patch resource "deployments" in API group "apps" in the namespace "shop"`))
	err := refused(key(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}"), "dry-run", forbidden)
	const want = "Deployment/shop/web dry-run failed: the account system:serviceaccount:team:deployer may not patch deployments.apps in namespace shop: bind it to a Role that allows that"
	if err.Error() != want || !apierrors.IsForbidden(err) {
		t.Errorf("got %s", err)
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	conflict := func(manager, field string) metav1.StatusCause {
		return metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: `conflict with "` + manager + `" with subresource "scale" using apps/v1`, Field: field}
	}
	err := apierrors.NewApplyConflict([]metav1.StatusCause{
		conflict("argocd", `.spec.template.spec.containers[name="web"].image`), conflict("keda", ".spec.replicas"), conflict("argocd", ".spec.paused"),
	}, "Apply failed with 3 conflicts")
	if !contested(err) || contested(apierrors.NewConflict(schema.GroupResource{}, "a", errors.New("x"))) || contested(nil) {
		t.Error("a conflict of fields is not recognised")
	}
	const want = "takes over spec.paused, spec.template.spec.containers[web].image from argocd; spec.replicas from keda"
	if got := takeover(conflicts(err)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := takeover(nil); got != "" {
		t.Errorf("got %q for nothing", got)
	}
}

// TestOverdue: what the end of a pass cut off is one error.
func TestOverdue(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	late := refused(kube.Key{}, "apply", context.DeadlineExceeded)
	other := errors.New("a is wrong")
	if err := errlist.InTime(over, []error{late, nil, other, late}, errOverdue); err == nil || err.Error() != "a is wrong\n"+errOverdue.Error() {
		t.Errorf("got %v", err)
	}
	if err := errlist.InTime(t.Context(), []error{late}, errOverdue); err == nil || errors.Is(err, errOverdue) {
		t.Errorf("one slow request is %v", err)
	}
	if err := errlist.InTime(over, []error{nil}, errOverdue); err != nil {
		t.Errorf("all was done, and still there is %v", err)
	}
}

func TestNotYetNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	err := &NotYet{Keys: []kube.Key{key(t, "{apiVersion: v1, kind: Namespace, metadata: {name: a}}"), key(t, configMap)}}
	if err.Error() != "waiting for Namespace/a, ConfigMap/shop/settings before what depends on it can be applied" {
		t.Errorf("got %q", err)
	}
}
