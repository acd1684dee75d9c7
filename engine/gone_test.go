package engine

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOnlyWhatIsGoneIsIgnored(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "kustomizations"}
	for name, tc := range map[string]struct {
		err     error
		ignored bool
	}{
		"nothing":  {nil, true},
		"deleted":  {apierrors.NewNotFound(resource, "app"), true},
		"conflict": {apierrors.NewConflict(resource, "app", errors.New("changed")), false},
		"refused":  {apierrors.NewForbidden(resource, "app", errors.New("no")), false},
	} {
		if got := ignoreGone(tc.err); (got == nil) != tc.ignored {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
