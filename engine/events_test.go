package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
)

func TestLine(t *testing.T) {
	t.Parallel()
	a := Action{Key: configMap("a"), Verb: "created"}
	if got, want := line(a), "ConfigMap/apps/a created"; got != want {
		t.Errorf("line is %q, want %q", got, want)
	}
	a.Detail = "why"
	if got, want := line(a), "ConfigMap/apps/a created: why"; got != want {
		t.Errorf("line is %q, want %q", got, want)
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, mostLines, mostLines + 1, mostLines * 10} {
		var lines []string
		for i := range n {
			lines = append(lines, fmt.Sprint(i))
		}
		before := slices.Clone(lines)
		got := listing(lines)
		want := strings.Join(lines[:min(n, mostLines)], "\n")
		if n > mostLines {
			want += fmt.Sprintf("\nand %d more", n-mostLines)
		}
		if got != want {
			t.Errorf("listing of %d is %q, want %q", n, got, want)
		}
		if !slices.Equal(lines, before) {
			t.Errorf("listing of %d changed what it was given", n)
		}
	}
}

func TestEventsFit(t *testing.T) {
	t.Parallel()
	exact := strings.Repeat("x", 1024)
	if clipEvent(exact) != exact || clipEvent("") != "" {
		t.Error("a message that fits was cut")
	}
	for _, letter := range []string{"x", "é", "…", "🙂"} {
		got := clipEvent(strings.Repeat(letter, 1025))
		if len(got) > 1024 || len(got) < 1020 || !strings.HasSuffix(got, letter+"...") || !utf8.ValidString(got) {
			t.Errorf("a message of %s has %d bytes and ends in %q", letter, len(got), got[len(got)-6:])
		}
	}
	if got := clipName(strings.Repeat("n", 253)); len(got) != 200 {
		t.Errorf("name has %d characters, want 200", len(got))
	}
	if got := clipName("short"); got != "short" {
		t.Errorf("name is %q", got)
	}
}

// queued are the events that wait to be sent.
func queued(r *recorder) (out []*corev1.Event) {
	r.outbox.close()
	for n := r.outbox.take(context.Background()); n != nil; n = r.outbox.take(context.Background()) {
		out = append(out, r.event(n))
	}
	return out
}

// sent are the events that a pass with this outcome queues.
func sent(out Outcome) []*corev1.Event {
	e := &Engine{events: newRecorder(nil, logr.Discard(), "instance"), log: logr.Discard(), now: func() time.Time { return noon }}
	e.announce(&pass{unit: &unit{name: web}, object: kustomization()}, out)
	return queued(e.events)
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	created := Action{Key: configMap("a"), Verb: "created", At: noon.Add(-time.Second)}
	back := Action{Key: configMap("b"), Verb: "configured", Detail: "data.x by kubectl", Drifted: true, At: noon.Add(-2 * time.Second)}
	refused := Action{Key: configMap("c"), Verb: "failed", Detail: "refused", At: noon}
	const succeeded, build = kustomizev1.ReconciliationSucceededReason, kustomizev1.BuildFailedReason
	tests := []struct {
		name string
		out  Outcome
		want []string // type, reason and message
	}{
		{"ready", Outcome{Next: Done, Reason: succeeded, Message: "m"}, []string{"Normal " + succeeded + " m"}},
		{"ready after changes", Outcome{Next: Done, Reason: succeeded, Message: "m", Actions: []Action{created}}, []string{"Normal " + succeeded + " m\nConfigMap/apps/a created"}},
		{
			"drift is told apart from changes", Outcome{Next: Done, Reason: succeeded, Message: "m", Actions: []Action{created, back}},
			[]string{"Normal DriftCorrected ConfigMap/apps/b configured: data.x by kubectl", "Normal " + succeeded + " m\nConfigMap/apps/a created"},
		},
		{"failed after changes", Outcome{Next: Retry, Reason: build, Message: "m", Actions: []Action{created}}, []string{"Normal Progressing ConfigMap/apps/a created", "Warning " + build + " m"}},
		{"failed", Outcome{Next: Retry, Reason: build, Message: "m"}, []string{"Warning " + build + " m"}},
		{"an object that failed is in the message, not in the changes", Outcome{Next: Retry, Reason: build, Message: "m", Actions: []Action{refused}}, []string{"Warning " + build + " m"}},
		{"waiting for health", Outcome{Next: Wait, Reason: meta.ProgressingReason, Message: "m"}, []string{"Normal Progressing m"}},
		{"waiting for health after changes", Outcome{Next: Wait, Reason: meta.ProgressingReason, Message: "m", Actions: []Action{created}}, []string{"Normal Progressing ConfigMap/apps/a created"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, e := range sent(test.out) {
				got = append(got, e.Type+" "+e.Reason+" "+e.Message)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("events are %q, want %q", got, test.want)
			}
		})
	}
}

func TestEventsSayWhenAndOfWhichRevision(t *testing.T) {
	t.Parallel()
	acted := noon.Add(-time.Second)
	events := sent(Outcome{Next: Done, Reason: kustomizev1.ReconciliationSucceededReason, Revision: rev1, Actions: []Action{{Key: configMap("a"), Verb: "configured", Drifted: true, At: acted}}})
	if len(events) != 2 || !events[0].EventTime.Time.Equal(acted) || !events[1].EventTime.Time.Equal(noon) {
		t.Fatalf("events are %v: want the correction when it was made, and the end now", events)
	}
	for _, e := range events {
		if e.Annotations[kustomizev1.RevisionEventKey] != rev1 || e.InvolvedObject.Name != "web" || e.InvolvedObject.UID != "uid" || e.Namespace != "apps" {
			t.Errorf("event is %+v", e)
		}
	}
}

// TestEventsOfOnePassHaveTheirOwnNames: two of one moment are two objects.
func TestEventsOfOnePassHaveTheirOwnNames(t *testing.T) {
	t.Parallel()
	acted := noon.Add(-time.Second)
	names := map[string]bool{}
	events := sent(Outcome{Next: Wait, Reason: meta.ProgressingReason, Message: "m", Actions: []Action{
		{Key: configMap("a"), Verb: "created", At: acted}, {Key: configMap("b"), Verb: "configured", Drifted: true, At: acted},
	}})
	for _, e := range events {
		names[e.Name] = true
	}
	if len(events) != 2 || len(names) != 2 {
		t.Errorf("%d events under %d names, want two of each", len(events), len(names))
	}
}

// TestStormFits: all warnings of 15,000 units stay, whatever else they told.
func TestStormFits(t *testing.T) {
	t.Parallel()
	r := newRecorder(nil, logr.Discard(), "instance")
	const units = 15000
	message := strings.Repeat("x", 1000)
	for range units {
		r.tell(kustomization(), "v1", "Kustomization", false, "Reason", message, nil, noon)
		r.tell(kustomization(), "v1", "Kustomization", true, "Reason", message, nil, noon)
	}
	if r.outbox.bytes > mostWaiting {
		t.Errorf("%d bytes wait, at most %d may", r.outbox.bytes, mostWaiting)
	}
	warnings := 0
	for _, event := range queued(r) {
		if event.Type == corev1.EventTypeWarning {
			warnings++
		}
	}
	if warnings != units {
		t.Errorf("%d warnings stay, want %d", warnings, units)
	}
}
