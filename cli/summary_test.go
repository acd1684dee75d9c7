package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/engine"
)

const commit1 = "main@sha1:0123456789abcdef0123456789abcdef01234567"

// with adds actions and a number of objects to the end of a pass.
func with(p engine.Progress, objects int, actions ...engine.Action) engine.Progress {
	p.Objects, p.Outcome.Actions = objects, actions
	return p
}

func detailed(a engine.Action, detail string) engine.Action {
	a.Detail = detail
	return a
}

func trackedAfter(notes ...engine.Progress) *tracker {
	t := newTracker(nil)
	for _, p := range notes {
		t.note(p)
	}
	return t
}

func TestTree(t *testing.T) {
	t.Parallel()
	deployment, config := key("apps", "Deployment", "apps", "web"), key("", "ConfigMap", "apps", "web")
	tests := []struct {
		name   string
		result string
		of     *tracker
		want   string
	}{
		{
			name: "an empty cluster", result: resultReady, of: newTracker(nil),
			want: "\nready: 0 created, 0 failed\n",
		},
		{
			name: "a source with two units", result: resultReady,
			of: trackedAfter(
				endOf(repo, readyAt(commit1)),
				with(endOf(unit("infra"), readyAt(commit1)), 2, did("created", key("", "Namespace", "", "apps"))),
				with(endOf(unit("web"), readyAt(commit1)), 2, did("created", deployment), did("configured", config), did("deleted", key("", "Secret", "apps", "old"))),
			),
			want: `GitRepository/apps/repo  Ready  ` + commit1 + `
├── Kustomization/apps/infra  Ready  ` + commit1 + `
│   ├── Namespace/apps created
│   └── 1 unchanged
└── Kustomization/apps/web  Ready  ` + commit1 + `
    ├── ConfigMap/apps/web configured
    ├── Deployment/apps/web created
    └── Secret/apps/old deleted

ready: 2 created, 1 configured, 1 unchanged, 1 deleted, 0 failed
`,
		},
		{
			name: "failed, held, suspended and working, each with its reason", result: resultTimeout,
			of: trackedAfter(
				endOf(repo, readyAt(commit1)),
				endOf(unit("a"), stalled()),
				endOf(unit("b"), engine.Outcome{Next: engine.Wait, Reason: kustomizev1.DependencyNotReadyReason, Message: "dependency 'apps/a' is not ready", On: []string{unit("a")}}),
				suspend(unit("c")),
				endOf(unit("d"), engine.Outcome{Next: engine.Wait, Reason: meta.ProgressingReason, Message: "waiting for Deployment/apps/web"}),
			),
			want: `GitRepository/apps/repo  Ready  ` + commit1 + `
├── Kustomization/apps/a  Failed  BuildFailed: no such folder
├── Kustomization/apps/b  Held  DependencyNotReady: dependency 'apps/a' is not ready
├── Kustomization/apps/c  Suspended  BuildFailed: no such folder
└── Kustomization/apps/d  Working  Progressing: waiting for Deployment/apps/web

timeout: 0 created, 0 failed
`,
		},
		{
			name: "an object that failed, was left, and was replaced; a detail of several lines", result: resultFailed,
			of: trackedAfter(
				endOf(repo, readyAt(commit1)),
				with(endOf(unit("a"), stalled()), 2,
					detailed(did("failed", key("batch", "Job", "apps", "once")), "spec.parallelism: Invalid value\nspec.template: Required value"),
					detailed(did("skipped", config), "its annotation says so"),
					did("recreated", deployment)),
			),
			want: `GitRepository/apps/repo  Ready  ` + commit1 + `
└── Kustomization/apps/a  Failed  BuildFailed: no such folder
    ├── ConfigMap/apps/web skipped: its annotation says so
    ├── Deployment/apps/web recreated
    └── Job/apps/once failed: spec.parallelism: Invalid value
        spec.template: Required value

failed: 0 created, 1 recreated, 1 skipped, 1 failed
`,
		},
		{
			name: "a unit whose source is missing", result: resultFailed,
			of: trackedAfter(endOf(unit("a"), engine.Outcome{Next: engine.Wait, Reason: kustomizev1.ArtifactFailedReason, Message: "source '" + repo + "' not found", On: []string{repo}})),
			want: `GitRepository/apps/repo  (no such source)
└── Kustomization/apps/a  Held  ArtifactFailed: source 'GitRepository/apps/repo' not found

failed: 0 created, 0 failed
`,
		},
		{
			name: "interrupted before the first pass", result: resultInterrupted,
			of:   func() *tracker { t := newTracker(nil); t.expect(repo); return t }(),
			want: "GitRepository/apps/repo  Working\n\ninterrupted: 0 created, 0 failed\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			if err := summarise(test.of, test.result).writeTree(&b); err != nil {
				t.Fatal(err)
			}
			if b.String() != test.want {
				t.Errorf("tree is\n%s\nwant\n%s", b.String(), test.want)
			}
		})
	}
}

func TestSummaryOfAnObjectIsWhatHappenedToItLast(t *testing.T) {
	t.Parallel()
	config := key("", "ConfigMap", "apps", "web")
	tr := trackedAfter(
		endOf(repo, readyAt(commit1)),
		with(endOf(unit("a"), stalled()), 1, detailed(did("failed", config), "webhook down")),
		with(endOf(unit("a"), readyAt(commit1)), 1, did("created", config)),
	)
	s := summarise(tr, resultReady)
	if s.Counts["failed"] != 0 || s.Counts["created"] != 1 || s.Counts["unchanged"] != 0 {
		t.Errorf("counts are %v, want one created", s.Counts)
	}
}

func TestSummaryAsJSON(t *testing.T) {
	t.Parallel()
	tr := trackedAfter(
		endOf(repo, readyAt(commit1)),
		with(endOf(unit("a"), stalled()), 4, detailed(did("failed", key("", "ConfigMap", "apps", "web")), "refused")),
	)
	const want = `{
  "result": "failed",
  "counts": {
    "failed": 1,
    "unchanged": 3
  },
  "objects": [
    {
      "id": "GitRepository/apps/repo",
      "state": "Ready",
      "reason": "Succeeded",
      "revision": "` + commit1 + `",
      "unchanged": 0
    },
    {
      "id": "Kustomization/apps/a",
      "state": "Failed",
      "reason": "BuildFailed",
      "message": "no such folder",
      "source": "GitRepository/apps/repo",
      "changes": [
        {
          "id": "ConfigMap/apps/web",
          "action": "failed",
          "detail": "refused"
        }
      ],
      "unchanged": 3
    }
  ]
}
`
	var b strings.Builder
	if err := printValue(&b, "json", summarise(tr, resultFailed), nil); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("JSON is\n%s\nwant\n%s", b.String(), want)
	}
}

// broken is an output that takes nothing, such as a closed pipe.
type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestPrintTurnsTheResultIntoAnExitCode(t *testing.T) {
	t.Parallel()
	tests := map[string]int{resultReady: exitOK, resultFailed: exitFailed, resultTimeout: exitTimeout, resultInterrupted: exitInterrupted}
	for result, code := range tests {
		for _, output := range []string{"text", "json"} {
			t.Run(result+" as "+output, func(t *testing.T) {
				t.Parallel()
				var b strings.Builder
				err := summarise(newTracker(nil), result).print(&b, output)
				if got := exitCode(t.Context(), err); got != code {
					t.Errorf("exit code is %d, want %d (%v)", got, code, err)
				}
				if output == "json" && !json.Valid([]byte(b.String())) {
					t.Errorf("no JSON: %s", b.String())
				}
				if output == "text" && !strings.Contains(b.String(), result+": ") {
					t.Errorf("no result in %q", b.String())
				}
				if err := summarise(newTracker(nil), result).print(broken{}, output); !errors.Is(err, errBroken) {
					t.Errorf("error is %v, want %v", err, errBroken)
				}
			})
		}
	}
}
