package cli

import (
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/engine"
)

// shown is what the notes print.
func shown(live bool, notes ...engine.Progress) string {
	var b strings.Builder
	p, t := newProgress(&b), newTracker(nil)
	p.live = live
	for _, n := range notes {
		t.note(n)
		p.note(n, t)
	}
	p.end()
	return b.String()
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	config := key("", "ConfigMap", "apps", "web")
	gone := endOf(unit("a"), engine.Outcome{})
	gone.Gone = true
	tests := []struct {
		name  string
		notes []engine.Progress
		want  string
	}{
		{"what was done goes before how it ended", []engine.Progress{with(endOf(unit("a"), stalled()), 1, did("created", config), detailed(did("failed", config), "why"))}, "  ConfigMap/apps/web created\n  ConfigMap/apps/web failed: why\nKustomization/apps/a  no such folder\n"},
		{"the same news is told once", []engine.Progress{endOf(unit("a"), stalled()), endOf(unit("a"), stalled()), endOf(unit("b"), stalled())}, "Kustomization/apps/a  no such folder\nKustomization/apps/b  no such folder\n"},
		{"no news is no line", []engine.Progress{endOf(unit("a"), readyAt(""))}, ""},
		{"suspended", []engine.Progress{suspend(unit("a"))}, "Kustomization/apps/a  suspended\n"},
		{"gone", []engine.Progress{gone}, "Kustomization/apps/a  gone\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := shown(false, test.notes...); got != test.want {
				t.Errorf("lines are\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	const clear = "\r\033[K"
	got := shown(true, endOf(repo, readyAt("")), endOf(unit("a"), stalled()))
	want := clear + "1 of 1 ready" + clear + "Kustomization/apps/a  no such folder\n" + clear + "1 of 2 ready, 1 failed" + clear
	if got != want {
		t.Errorf("output is %q, want %q", got, want)
	}
}
