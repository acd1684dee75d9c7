package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var pods = schema.GroupResource{Resource: "pods"}

func TestDo(t *testing.T) {
	t.Parallel()
	busy, broken := apierrors.NewInternalError(errors.New("x")), errors.New("broken")
	for name, c := range map[string]struct {
		answers []error // the last one repeats
		calls   int
		took    time.Duration
		want    error
	}{
		"at once":                    {[]error{nil}, 1, 0, nil},
		"at the second time":         {[]error{busy, nil}, 2, 50 * time.Millisecond, nil},
		"for good":                   {[]error{broken}, 1, 0, broken},
		"for good, later":            {[]error{busy, broken}, 2, 50 * time.Millisecond, broken},
		"never":                      {[]error{busy}, 5, 750 * time.Millisecond, busy},
		"as the server asks":         {[]error{apierrors.NewTooManyRequests("busy", 2), nil}, 2, 2 * time.Second, nil},
		"not for as long as it asks": {[]error{apierrors.NewTooManyRequests("busy", 60)}, 1, 0, apierrors.NewTooManyRequests("busy", 60)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls, begun := 0, time.Now()
				_, err := Do(t.Context(), func() (int, error) {
					calls++
					return 0, c.answers[min(calls, len(c.answers))-1]
				})
				if calls != c.calls || time.Since(begun) != c.took || (err == nil) != (c.want == nil) || err != nil && err.Error() != c.want.Error() {
					t.Errorf("%d calls in %s: %v", calls, time.Since(begun), err)
				}
			})
		})
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		begun, busy := time.Now(), apierrors.NewInternalError(errors.New("x"))
		_, err := Do(ctx, func() (int, error) { return 0, busy })
		if !errors.Is(err, busy) || time.Since(begun) != 60*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestPassing(t *testing.T) {
	t.Parallel()
	fields := apierrors.NewConflict(pods, "a", errors.New("fields"))
	fields.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict}}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"conflict of writes":  {apierrors.NewConflict(pods, "a", errors.New("x")), true},
		"conflict of fields":  {fields, false},
		"too many requests":   {apierrors.NewTooManyRequests("x", 1), true},
		"internal error":      {apierrors.NewInternalError(errors.New("x")), true},
		"timeout":             {apierrors.NewTimeoutError("x", 1), true},
		"server timeout":      {apierrors.NewServerTimeout(pods, "get", 1), true},
		"unavailable":         {apierrors.NewServiceUnavailable("x"), true},
		"wrapped":             {fmt.Errorf("x: %w", apierrors.NewInternalError(errors.New("x"))), true},
		"reset":               {&url.Error{Op: "Patch", URL: "https://x", Err: syscall.ECONNRESET}, true},
		"refused":             {&url.Error{Op: "Patch", URL: "https://x", Err: syscall.ECONNREFUSED}, true},
		"cut":                 {&url.Error{Op: "Patch", URL: "https://x", Err: io.EOF}, true},
		"invalid":             {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "a", nil), false},
		"not found":           {apierrors.NewNotFound(pods, "a"), false},
		"forbidden":           {apierrors.NewForbidden(pods, "a", nil), false},
		"the end of the pass": {context.Canceled, false},
	} {
		if got := Passing(c.err); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
