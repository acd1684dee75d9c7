package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
)

// queued is how many events may wait for the API server. When it is that far
// behind, the oldest news is dropped, not the pass held up.
const queued = 1000

// mostLines bounds how many objects one event lists.
const mostLines = 50

// recorder sends Kubernetes events. They are core/v1, where the toolkit's
// clients look for them, with their time in microseconds.
type recorder struct {
	client   client.Client
	reporter string
	instance string
	queue    chan *corev1.Event
}

func newRecorder(c client.Client, instance string) *recorder {
	return &recorder{client: c, reporter: "plumb", instance: instance, queue: make(chan *corev1.Event, queued)}
}

// Start sends until ctx ends.
func (r *recorder) Start(ctx context.Context) error {
	log := logr.FromContextOrDiscard(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-r.queue:
			if err := r.client.Create(ctx, event); err != nil && ctx.Err() == nil {
				log.Error(err, "event lost", "object", event.InvolvedObject.Name, "reason", event.Reason)
			}
		}
	}
}

// event queues one event. It never blocks.
func (r *recorder) event(obj client.Object, gvk string, kind string, warning bool, reason, message string, annotations map[string]string, now time.Time) {
	eventType := corev1.EventTypeNormal
	if warning {
		eventType = corev1.EventTypeWarning
	}
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:        fmt.Sprintf("%s.%x", clipName(obj.GetName()), now.UnixNano()),
			Namespace:   obj.GetNamespace(),
			Annotations: annotations,
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: gvk, Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(), ResourceVersion: obj.GetResourceVersion(),
		},
		Reason: reason, Message: clipEvent(message), Type: eventType, Count: 1, Action: reason,
		FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now), EventTime: metav1.NewMicroTime(now),
		Source:              corev1.EventSource{Component: kustomizev1.FieldManager},
		ReportingController: r.reporter, ReportingInstance: r.instance,
	}
	select {
	case r.queue <- event:
	default:
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
		e.events.event(p.object, kustomizev1.GroupVersion.String(), kustomizev1.KustomizationKind, warning, reason, message, annotations, when)
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
