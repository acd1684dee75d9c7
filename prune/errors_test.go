package prune

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/errlist"
)

func TestJoined(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	refused := errors.New("ConfigMap/a/b delete failed: refused")
	late := fmt.Errorf("ConfigMap/a/c delete failed: %w", &url.Error{Op: "Delete", Err: context.DeadlineExceeded})
	many := make([]error, 30)
	for i := range many {
		many[i] = fmt.Errorf("ConfigMap/a/%02d delete failed", i)
	}
	tests := []struct {
		name string
		ctx  context.Context
		errs []error
		want string
	}{
		{"nothing", t.Context(), []error{nil, nil}, ""},
		{"one", t.Context(), []error{nil, refused}, refused.Error()},
		{"a request that took too long", t.Context(), []error{late}, late.Error()},
		{"the time is over", over, []error{late, nil, late, refused}, refused.Error() + "\n" + errOverdue.Error()},
		{"many", t.Context(), many, "and 20 more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := errlist.InTime(test.ctx, test.errs, errOverdue)
			if test.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || err.Error() != test.want && !strings.HasSuffix(err.Error(), "\n"+test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if errors.Is(err, refused) != (test.want != late.Error() && test.name != "many") {
				t.Errorf("what it is made of is lost: %v", err)
			}
		})
	}
}
