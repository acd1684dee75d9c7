package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/retry"
)

// senders is how many events are sent at once: enough that none wait while the API
// server keeps up, and few beside the requests that do the work.
const senders = 4

const (
	sendWithin = 30 * time.Second // for one event
	sendAgain  = time.Second      // after the API server did not take one
	// stale is when a notice is not sent again: something else is wrong with it.
	stale = 10 * time.Minute
	// parting is how long a stop waits for what is not sent yet.
	parting = 5 * time.Second
)

// mostLines bounds how many objects one event lists.
const mostLines = 50

// recorder sends Kubernetes events. They are core/v1, where the toolkit's
// clients look for them, with their time in microseconds.
type recorder struct {
	client   client.Client
	log      logr.Logger
	reporter string
	instance string
	outbox   *outbox
}

func newRecorder(c client.Client, log logr.Logger, instance string) *recorder {
	return &recorder{client: c, log: log, reporter: "plumb", instance: instance, outbox: newOutbox(mostWaiting)}
}

// Start sends until ctx ends.
func (r *recorder) Start(ctx context.Context) error {
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for n := r.outbox.take(ctx); n != nil; n = r.outbox.take(ctx) {
				r.send(ctx, n)
			}
		})
	}
	sending.Wait()
	return nil
}

// Finish sends what is left until ctx ends. Nothing may be told any more.
func (r *recorder) Finish(ctx context.Context) {
	r.outbox.close()
	_ = r.Start(ctx) // has no errors
}

// send sends an event. What the API server does not take for a passing reason stays in
// the outbox; the name makes sure that it is there once, whatever came of the attempts.
func (r *recorder) send(ctx context.Context, n *notice) {
	limited, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	err := r.client.Create(limited, r.event(n))
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
		eventsWaiting.Dec()
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause): // it went with its namespace
		eventsWaiting.Dec()
	case ctx.Err() != nil: // the next one sends it, see Finish
		r.outbox.putBack(n)
	case (retry.Passing(err) || limited.Err() != nil) && time.Since(n.at) < stale:
		r.outbox.putBack(n)
		select {
		case <-ctx.Done():
		case <-time.After(sendAgain):
		}
	default:
		eventsWaiting.Dec()
		r.log.Error(err, "event lost", "kind", n.about.Kind, "namespace", n.about.Namespace, "name", n.about.Name, "reason", n.reason)
	}
	if warnings, others := r.outbox.forgotten(time.Now()); warnings+others > 0 {
		r.log.Info("events were dropped: more waited for the API server than is kept for it", "warnings", warnings, "others", others)
	}
}

// tell queues an event. It never blocks.
func (r *recorder) tell(obj client.Object, gvk string, kind string, warning bool, reason, message string, annotations map[string]string, now time.Time) {
	r.outbox.put(&notice{
		about: corev1.ObjectReference{
			APIVersion: gvk, Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(), ResourceVersion: obj.GetResourceVersion(),
		},
		warning: warning, reason: reason, message: clipEvent(message), annotations: annotations, at: now,
	})
}

// event is a notice as the API server takes it.
func (r *recorder) event(n *notice) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:        fmt.Sprintf("%s.%x", clipName(n.about.Name), n.serial),
			Namespace:   n.about.Namespace,
			Annotations: n.annotations,
		},
		InvolvedObject: n.about,
		Reason:         n.reason, Message: n.message, Type: typeOf(n.warning), Count: 1, Action: n.reason,
		FirstTimestamp: metav1.NewTime(n.at), LastTimestamp: metav1.NewTime(n.at), EventTime: metav1.NewMicroTime(n.at),
		Source:              corev1.EventSource{Component: kustomizev1.FieldManager},
		ReportingController: r.reporter, ReportingInstance: r.instance,
	}
}

// announce sends the events of a pass: what it put back, and how it ended. What it
// changed is told with its end, if that is a good one: an event costs the API server
// as much as a write.
func (e *Engine) announce(p *pass, out Outcome) {
	send := func(warning bool, reason, message string, when time.Time) {
		annotations := map[string]string{}
		if out.Revision != "" {
			annotations[kustomizev1.RevisionEventKey] = out.Revision
		}
		e.events.tell(p.object, kustomizev1.GroupVersion.String(), kustomizev1.KustomizationKind, warning, reason, message, annotations, when)
		e.log.Info(message, "kind", kustomizev1.KustomizationKind, "namespace", p.unit.name.Namespace, "name", p.unit.name.Name, "reason", reason, "revision", out.Revision)
	}
	var done, back, found []string
	now := e.now()
	acted := now
	for _, a := range out.Actions {
		if a.At.Before(acted) {
			acted = a.At
		}
		switch {
		case a.Verb == string(apply.Failed):
		case a.Verb == string(apply.Drifted):
			found = append(found, line(a))
		case a.Drifted:
			back = append(back, line(a))
		default:
			done = append(done, line(a))
		}
	}
	if len(back) > 0 {
		send(false, kustomizev1.DriftCorrectedReason, listing(back), acted)
	}
	if len(found) > 0 {
		send(true, kustomizev1.DriftDetectedReason, listing(found), acted)
	}
	switch {
	case len(done) > 0 && out.Ready():
		send(false, out.Reason, out.Message+"\n"+listing(done), now)
		return
	case len(done) > 0:
		send(false, meta.ProgressingReason, listing(done), acted)
	}
	if warning := !out.Ready() && out.Reason != meta.ProgressingReason; out.Ready() || warning || len(out.Actions) == 0 {
		send(warning, out.Reason, out.Message, now)
	}
}

func line(a Action) string {
	if a.Detail == "" {
		return fmt.Sprintf("%s %s", a.Key, a.Verb)
	}
	return fmt.Sprintf("%s %s: %s", a.Key, a.Verb, a.Detail)
}

func listing(lines []string) string {
	if more := len(lines) - mostLines; more > 0 {
		lines = append(lines[:mostLines:mostLines], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// clipEvent cuts what does not fit into an event (1024 bytes).
func clipEvent(message string) string {
	const most = 1024
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most-3], "") + "..." // half a character is refused or changed
}

// clipName leaves room for the suffix in an event's name (253 characters).
func clipName(name string) string { return name[:min(len(name), 200)] }
