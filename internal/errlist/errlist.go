// Package errlist makes one error of those about many objects: its text is the same
// whatever their order, and bounded however many they are.
package errlist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Shown is how many errors a text has.
const Shown = 10

// list is at least one error.
type list []error

// Error implements error: sorted, and cut after the first few.
func (l list) Error() string {
	lines := make([]string, len(l))
	for i, err := range l {
		lines[i] = err.Error()
	}
	slices.Sort(lines)
	if more := len(lines) - Shown; more > 0 {
		lines = append(lines[:Shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives every error, also those that the text leaves out.
func (l list) Unwrap() []error { return l }

// Join is all errors as one, nil when there are none.
func Join(errs []error) error {
	var all list
	for _, err := range errs {
		if err != nil {
			all = append(all, err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// InTime is Join, but what failed only because the deadline of ctx has passed is one
// error, overdue, however many objects it is about.
func InTime(ctx context.Context, errs []error, overdue error) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Join(errs)
	}
	late := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
	rest := slices.DeleteFunc(slices.Clone(errs), late)
	if len(rest) < len(errs) {
		rest = append(rest, overdue)
	}
	return Join(rest)
}
