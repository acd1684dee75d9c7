package apply

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/drift"
)

// unchangeable are the words of API servers for a field that cannot be changed
// in place, in the order of what says most.
var unchangeable = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`field is immutable( when .immutable. is set)?`,
	`updates to \w+ spec for fields other than`,
	`may not change fields other than`,
	`is immutable( after \w+( except [\w. ]+)?)?`,
	`may not change once set`,
	`may not be changed in an update`,
	`cannot change roleref`,
	`updates to \w+ are forbidden`,
	`immutable`,
}, "|"))

// immutable tells whether the server, or a webhook in front of it, refuses to
// change a field in place.
func immutable(err error) bool {
	if err == nil || !unchangeable.MatchString(err.Error()) {
		return false
	}
	return apierrors.IsInvalid(err) || denied(err)
}

// denied tells whether an admission webhook said no; it may do so with any code.
func denied(err error) bool {
	return strings.Contains(err.Error(), "admission webhook") && strings.Contains(err.Error(), "denied the request")
}

// quotedNames are the fields that a refusal lists as those that may change.
var quotedNames = regexp.MustCompile(`'(\w+)'`)

// locked names the fields that can't be changed: those of the refusal, or rather
// what below them differs between wanted and live. live may be nil.
func locked(err error, wanted, live *unstructured.Unstructured) []string {
	var out []string
	for _, cause := range causes(err) {
		if !unchangeable.MatchString(cause.Message) {
			continue
		}
		allowed := quotedNames.FindAllStringSubmatch(cause.Message, -1)
		exact := slices.DeleteFunc(drift.Changes(wanted, live), func(path string) bool {
			return !within(path, cause.Field) || slices.ContainsFunc(allowed, func(name []string) bool { return within(path, cause.Field+"."+name[1]) })
		})
		if len(exact) == 0 {
			exact = []string{cause.Field}
		}
		out = append(out, exact...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// within tells whether a path is a field or below it.
func within(path, field string) bool {
	rest, ok := strings.CutPrefix(path, field)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func causes(err error) []metav1.StatusCause {
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	return status.Status().Details.Causes
}
