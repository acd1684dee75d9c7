// Package retry repeats a request to an API server that failed for a passing
// reason. Only requests that may be made twice belong here: reads, dry runs,
// server-side applies, and deletes of one UID.
package retry

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

const (
	attempts = 5
	first    = 50 * time.Millisecond // then twice as long each time
	// longest is how long a server may ask us to stay away before we give the
	// worker back instead and come again later.
	longest = 5 * time.Second
)

// Do calls request until it succeeds, fails for good, or has failed often
// enough; then the last error is returned. It returns early when ctx ends.
func Do[T any](ctx context.Context, request func() (T, error)) (T, error) {
	delay := first
	for n := 1; ; n++ {
		out, err := request()
		if err == nil || n == attempts || !Passing(err) {
			return out, err
		}
		pause := max(delay, asked(err))
		if pause > longest || !wait(ctx, pause) {
			return out, err
		}
		delay *= 2
	}
}

// wait returns false when ctx ends first.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// asked is for how long the server wants to be left alone (Retry-After).
func asked(err error) time.Duration {
	seconds, _ := apierrors.SuggestsClientDelay(err)
	return time.Duration(seconds) * time.Second
}

// Passing tells whether a request may succeed when it is made again, unchanged.
// A conflict between field managers will not, one between writes will.
func Passing(err error) bool {
	switch {
	case apierrors.IsConflict(err):
		return !apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
	case apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err), apierrors.IsServiceUnavailable(err),
		apierrors.IsServerTimeout(err), apierrors.IsTimeout(err):
		return true
	default:
		return utilnet.IsConnectionReset(err) || utilnet.IsConnectionRefused(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err)
	}
}
