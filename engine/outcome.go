package engine

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Next is what has to happen before a pass that did not succeed is worth
// repeating. There are three ends for an error, and success.
type Next int

// The ends of a pass.
const (
	Done  Next = iota // nothing to do until something changes
	Retry             // try again, later each time
	Wait              // something named has to happen; it wakes the unit
	Stall             // only another input can help
)

// Failure is why a pass did not end in Ready, and what may help.
type Failure struct {
	Reason string // one of the API's constants
	Next   Next
	Err    error
	// Deadline is when waiting turns into failing; zero for never.
	Deadline time.Time
	// On names what has to happen first, as Kind/namespace/name.
	On []string
	// Health is true when the objects are applied and only not healthy yet.
	Health bool
}

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

func fail(reason string, next Next, err error) *Failure {
	return &Failure{Reason: reason, Next: next, Err: err}
}

// Outcome is how a pass ended, in the words that users see.
type Outcome struct {
	Reason   string
	Message  string
	Revision string // what was attempted
	Next     Next
	Deadline time.Time
	Health   bool
	On       []string // what it waits for, as Kind/namespace/name
	Actions  []Action // what was written or deleted on the way
}

// Ready tells whether the unit is as its source says.
func (o Outcome) Ready() bool { return o.Next == Done }

// Action is one object that a pass changed, left behind or could not change.
type Action struct {
	Key     kube.Key
	Verb    string // the words of apply.Action, or RunHook
	Detail  string // what was put back, why it was left or failed
	Drifted bool   // it puts back what somebody else did
	Fields  []drift.Difference
	At      time.Time
	// Object is what a dry run would apply, of an object that others are made from: of
	// our own kinds, a ConfigMap or a Secret. It is for who looks what comes of it.
	Object *unstructured.Unstructured
}

// RunHook is the verb of a hook that a dry run comes by; the detail says at what.
const RunHook = "run"

// outcome turns the error in which a pass ended into words.
func outcome(p *pass, err error) Outcome {
	out := Outcome{
		Revision: p.snapshot.Revision,
		Reason:   kustomizev1.ReconciliationSucceededReason,
		Message:  "Applied revision: " + p.snapshot.Revision,
		Actions:  p.actions,
	}
	if err == nil {
		return out
	}
	out.Reason, out.Message, out.Next = kustomizev1.ReconciliationFailedReason, err.Error(), Retry
	if f := new(Failure); errors.As(err, &f) {
		out.Reason, out.Message, out.Next, out.Deadline, out.Health, out.On = f.Reason, f.Error(), f.Next, f.Deadline, f.Health, f.On
	}
	return out
}

// inTime has an error that came of the end of spec.timeout say so, and the way out. What
// Go says instead is of no help to users, and names addresses that may change.
func inTime(ctx context.Context, err error) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	text := err.Error()
	if request, ok := errors.AsType[*url.Error](err); ok {
		text = strings.ReplaceAll(text, request.Error(), request.Err.Error())
	}
	text = strings.ReplaceAll(text, context.DeadlineExceeded.Error(), "no answer within spec.timeout: the next attempt asks again; set a longer one")
	late := fail(kustomizev1.ReconciliationFailedReason, Retry, errors.New(text))
	if f, ok := errors.AsType[*Failure](err); ok {
		late.Reason = f.Reason
	}
	return late
}
