package apply

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/denial"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// UnknownKind says that the cluster does not serve the kind of an object.
type UnknownKind struct{ Key kube.Key }

// Error implements error.
func (u *UnknownKind) Error() string {
	gvk := u.Key.GVK()
	return fmt.Sprintf("%s: the cluster has no kind %s in %s: install its CustomResourceDefinition, or add it to this set", u.Key, gvk.Kind, gvk.GroupVersion())
}

// unknownKind finds an UnknownKind in a message.
var unknownKind = regexp.MustCompile(`the cluster has no kind (\S+) in (\S+): `)

// NamedUnknownKind is the kind that an UnknownKind in a message was about, for those who
// remember no more than its text; false if there is none.
func NamedUnknownKind(message string) (schema.GroupVersionKind, bool) {
	match := unknownKind.FindStringSubmatch(message)
	if match == nil {
		return schema.GroupVersionKind{}, false
	}
	return schema.FromAPIVersionAndKind(match[2], match[1]), true
}

// Refusal is an object that the server did not take.
type Refusal struct {
	Key kube.Key
	Op  string // dry-run, apply, delete
	Err error
	// Fields are those that cannot be changed in place, when that is why.
	Fields []string
}

// Error implements error. It leads with the object.
func (r *Refusal) Error() string {
	text := r.Err.Error()
	switch {
	case len(r.Fields) > 0:
		text = fmt.Sprintf("%s cannot be changed in place (%s)", strings.Join(r.Fields, ", "), unchangeable.FindString(text))
	case r.Key.GroupKind.Kind == "Secret":
		text = quoted.ReplaceAllString(text, "${1}(hidden)")
	}
	if immutable(r.Err) {
		text += ": " + r.wayOut()
	}
	return fmt.Sprintf("%s %s failed: %s", r.Key, r.Op, text)
}

// wayOut is what to do about a field that cannot be changed in place.
func (r *Refusal) wayOut() string {
	set := "set spec.force: true on the Kustomization (spec.upgrade.force on a HelmRelease), or the annotation "
	if precious[r.Key.GroupKind] {
		set = "set the annotation "
	}
	return set + kustomizev1.ForceAnnotation + ": enabled on the object, to have it recreated; or delete the object; or undo the change"
}

// Unwrap gives the server's error.
func (r *Refusal) Unwrap() error { return r.Err }

// quoted is where the API server repeats what it was sent: a string, a number,
// or something whose end only the server knows.
var quoted = regexp.MustCompile(`(?s)((?:Invalid|Duplicate|Unsupported) value: |expected [^,]+, got )("(?:[^"\\]|\\.)*"|-?\d[\w.+-]*|.*)`)

func refused(key kube.Key, op string, err error) error {
	return &Refusal{Key: key, Op: op, Err: denial.Explain(err)}
}

// errOverdue stands for all that was not done when the time of a pass was over.
var errOverdue = errors.New("spec.timeout was over before all objects were written: the next attempt goes on with the rest; set a longer one")

// errUntried stands for all that the server had not tried by then.
var errUntried = errors.New("spec.timeout was over before the server had tried all objects: none of them is written, and the next attempt tries them again; set a longer one")
