package scenario

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/plumb-gitops/plumb/internal/retry"
)

// Right is something that a user may do.
type Right = authorizationv1.ResourceAttributes

// May waits until the server lets a user do something, or does not any more. It knows
// roles and bindings by watches of its own, a moment after they were written, and tells
// nobody when: so it is asked again.
func (w *World) May(user string, allowed bool, right Right) {
	w.tb.Helper()
	review := &authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authorizationv1.SchemeGroupVersion.String(), Kind: "SubjectAccessReview"},
		Spec:     authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &right},
	}
	asked, err := runtime.DefaultUnstructuredConverter.ToUnstructured(review)
	if err != nil {
		w.tb.Fatal(err)
	}
	r := w.Dynamic.Resource(authorizationv1.SchemeGroupVersion.WithResource("subjectaccessreviews"))
	err = wait.PollUntilContextTimeout(w.tb.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		answer, err := retry.Do(ctx, func() (*unstructured.Unstructured, error) {
			return r.Create(ctx, &unstructured.Unstructured{Object: asked}, metav1.CreateOptions{})
		})
		if err != nil {
			return false, err
		}
		may, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
		return may == allowed, err
	})
	if err != nil {
		w.tb.Fatal(fmt.Errorf("waiting until it is %t that %s may %s: %w", allowed, user, right.String(), err))
	}
}
