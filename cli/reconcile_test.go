package cli

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/engine"
)

// moments are the contexts of a run and of its time limit, as they stand when
// it ends.
func moments(t *testing.T) map[string][2]context.Context {
	t.Helper()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	t.Cleanup(cancel)
	return map[string][2]context.Context{
		"in time":     {t.Context(), t.Context()},
		"too late":    {t.Context(), late},
		"interrupted": {stopped, stopped},
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	allReady := []engine.Progress{endOf(repo, readyAt(commit1)), suspend(unit("a"))}
	oneFailed := []engine.Progress{endOf(repo, readyAt(commit1)), endOf(unit("a"), stalled())}
	oneHeld := []engine.Progress{endOf(unit("a"), waitsFor("DependencyNotReady", unit("missing")))}
	oneWorking := []engine.Progress{endOf(unit("a"), waitsFor("Progressing")), endOf(unit("b"), stalled())}
	tests := []struct {
		name, moment string
		notes        []engine.Progress
		want         string
	}{
		{"nothing to do", "in time", nil, resultReady},
		{"ready or suspended", "in time", allReady, resultReady},
		{"one failed", "in time", oneFailed, resultFailed},
		{"one held", "in time", oneHeld, resultFailed},
		{"the engine stopped while one was worked on", "in time", oneWorking, resultFailed},
		{"all ready in the last moment", "too late", allReady, resultReady},
		{"one failed in the last moment", "too late", oneFailed, resultFailed},
		{"one still worked on", "too late", oneWorking, resultTimeout},
		{"Ctrl-C when all was ready", "interrupted", allReady, resultInterrupted},
		{"Ctrl-C when one was worked on", "interrupted", oneWorking, resultInterrupted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := moments(t)[test.moment]
			if got := result(m[0], m[1], trackedAfter(test.notes...)); got != test.want {
				t.Errorf("result is %s, want %s", got, test.want)
			}
		})
	}
}

func TestFailureOnlyOfARunThatWasNotCutShort(t *testing.T) {
	t.Parallel()
	for moment, want := range map[string]error{"in time": errBroken, "too late": nil, "interrupted": nil} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			m := moments(t)[moment]
			if got := failure(m[0], m[1], errBroken); !errors.Is(got, want) {
				t.Errorf("failure is %v, want %v", got, want)
			}
		})
	}
}

func TestEndedTellsWhyFromTheContexts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code  int
		text  string
		cause bool // the error is kept
	}{
		"in time":     {exitFailed, "broken pipe", true},
		"too late":    {exitTimeout, "timed out: broken pipe", true},
		"interrupted": {exitInterrupted, "interrupted", false},
	}
	for moment, want := range tests {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			m := moments(t)[moment]
			err := ended(m[0], m[1], errBroken)
			if exitCode(t.Context(), err) != want.code || err.Error() != want.text || errors.Is(err, errBroken) != want.cause {
				t.Errorf("error is %v with code %d, want %q with %d", err, exitCode(t.Context(), err), want.text, want.code)
			}
		})
	}
}

// TestNamespaceOfObjectsThatNameNone is not parallel: it sets the environment.
func TestNamespaceOfObjectsThatNameNone(t *testing.T) {
	for value, want := range map[string]string{"": "default", "apps": "apps"} {
		t.Setenv("PLUMB_NAMESPACE", value)
		if got := (&global{}).namespace(); got != want {
			t.Errorf("namespace is %q with PLUMB_NAMESPACE=%q, want %q", got, value, want)
		}
	}
}
