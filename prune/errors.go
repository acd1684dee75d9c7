package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// shown is how many errors a text has.
const shown = 10

// failures are all that could not be done.
type failures []error

// Error implements error: sorted, and cut after the first few.
func (f failures) Error() string {
	lines := make([]string, len(f))
	for i, err := range f {
		lines[i] = err.Error()
	}
	slices.Sort(lines)
	if more := len(lines) - shown; more > 0 {
		lines = append(lines[:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives every error, also those that the text leaves out.
func (f failures) Unwrap() []error { return f }

// errOverdue stands for all that was not done when the time of a pass was over.
var errOverdue = errors.New("spec.timeout was over before all objects were deleted: the next attempt goes on with the rest; set a longer one")

// joined is all errors as one, nil when there are none. What failed only because the
// time was over is one error, however many objects it is about.
func joined(ctx context.Context, errs []error) error {
	var all failures
	late := false
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(ctx.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded):
			late = true
		default:
			all = append(all, err)
		}
	}
	if late {
		all = append(all, errOverdue)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
