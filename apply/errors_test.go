package apply

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

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
	const wayOut = "; to change it, set spec.force or the annotation kustomize.toolkit.fluxcd.io/force: enabled to have it recreated, or delete it, or undo the change"
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

func TestJoined(t *testing.T) {
	t.Parallel()
	some := func(n int) []error {
		errs := []error{nil}
		for i := range n {
			errs = append(errs, fmt.Errorf("object %d", i), nil)
		}
		return errs
	}
	if err := joined(some(0)); err != nil {
		t.Errorf("no errors are %v", err)
	}
	for n, last := range map[int]string{1: "object 0", 10: "object 9", 12: "and 2 more"} {
		errs := some(n)
		lines := strings.Split(joined(errs).Error(), "\n")
		if len(lines) != min(n, shown+1) || lines[0] != "object 0" || lines[len(lines)-1] != last || !errors.Is(joined(errs), errs[len(errs)-2]) {
			t.Errorf("%d errors are %q", n, lines)
		}
		if errs[1].Error() != "object 0" || errs[0] != nil {
			t.Error("the errors given were changed")
		}
	}
}

func TestNotYetNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	err := &NotYet{Keys: []kube.Key{key(t, "{apiVersion: v1, kind: Namespace, metadata: {name: a}}"), key(t, configMap)}}
	if err.Error() != "waiting for Namespace/a, ConfigMap/shop/settings before what depends on it can be applied" {
		t.Errorf("got %q", err)
	}
}
