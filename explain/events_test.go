package explain

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestEventOf(t *testing.T) {
	t.Parallel()
	one, two := at(t, "2026-01-02T15:00:00Z"), at(t, "2026-01-02T15:04:00Z")
	const about = `involvedObject: {apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, namespace: apps, name: web}, reason: Progressing, type: Normal, message: hello`
	for name, c := range map[string]struct {
		text string
		want Event
	}{
		"core/v1": {`firstTimestamp: "2026-01-02T15:00:00Z", lastTimestamp: "2026-01-02T15:04:00Z", count: 3, source: {component: kubelet}`,
			Event{Count: 3, First: one, Last: two, By: "kubelet"}},
		"as the engine has it": {`firstTimestamp: "2026-01-02T15:00:00Z", lastTimestamp: "2026-01-02T15:00:00Z", eventTime: "2026-01-02T15:00:00.000000Z", count: 1, source: {component: kustomize-controller}, reportingComponent: plumb`,
			Event{Count: 1, First: one, Last: one, By: "plumb"}},
		"events.k8s.io, once": {`eventTime: "2026-01-02T15:00:00.000000Z", reportingComponent: scheduler`,
			Event{Count: 1, First: one, Last: one, By: "scheduler"}},
		"events.k8s.io, a series": {`eventTime: "2026-01-02T15:00:00.000000Z", series: {count: 7, lastObservedTime: "2026-01-02T15:04:00.000000Z"}`,
			Event{Count: 7, First: one, Last: two}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := EventOf(having(t, `{apiVersion: v1, kind: Event, metadata: {name: e, namespace: apps}, `+about+`, `+c.text+`}`).only())
			if err != nil {
				t.Fatal(err)
			}
			c.want.Object, c.want.Type, c.want.Reason, c.want.Message = "Kustomization/apps/web", "Normal", "Progressing", "hello"
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Event{}, "About"), cmpopts.EquateApproxTime(0)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMergeOfEvents(t *testing.T) {
	t.Parallel()
	minute := func(n int) time.Time { return at(t, "2026-01-02T15:00:00Z").Add(time.Duration(n) * time.Minute) }
	event := func(message string, count, first, last int) Event {
		return Event{Object: "Pod/a/b", Type: "Warning", Reason: "Failed", Message: message, Count: count, First: minute(first), Last: minute(last)}
	}
	got := Merge([]Event{event("b", 1, 5, 5), event("a", 2, 3, 9), event("c", 1, 4, 4), event("a", 1, 1, 7)})
	want := []Event{event("c", 1, 4, 4), event("b", 1, 5, 5), event("a", 3, 1, 9)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	other := event("a", 1, 1, 1)
	other.About.Name = "other"
	if got := Merge([]Event{event("a", 1, 1, 1), other}); len(got) != 2 {
		t.Errorf("events of two objects became %d", len(got))
	}
}
