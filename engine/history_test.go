package engine

import (
	"testing"
	"time"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/source"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	type end struct{ digest, reason string }
	wrote := []Action{{Verb: "configured"}}
	good, bad := kustomizev1.ReconciliationSucceededReason, kustomizev1.HealthCheckFailedReason
	tests := []struct {
		name string
		ends []end
		want []end // newest first
		of   []int64
	}{
		{"the first", []end{{"a", good}}, []end{{"a", good}}, []int64{1}},
		{"again", []end{{"a", good}, {"a", good}}, []end{{"a", good}}, []int64{2}},
		{"another end", []end{{"a", bad}, {"a", good}}, []end{{"a", good}, {"a", bad}}, []int64{1, 1}},
		{"back to an older one", []end{{"a", good}, {"b", good}, {"a", good}}, []end{{"a", good}, {"b", good}}, []int64{2, 1}},
		{"no manifests", []end{{"", kustomizev1.BuildFailedReason}}, nil, nil},
		{"the same failure again", []end{{"a", bad}, {"a", bad}}, []end{{"a", bad}}, []int64{1}},
		{"still under way", []end{{"a", meta.ProgressingReason}}, nil, nil},
		{
			"too many", []end{{"a", good}, {"b", good}, {"c", good}, {"d", good}, {"e", good}, {"f", good}},
			[]end{{"f", good}, {"e", good}, {"d", good}, {"c", good}, {"b", good}}, []int64{1, 1, 1, 1, 1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var history []kustomizev1.Snapshot
			for i, e := range test.ends {
				at := noon.Add(time.Duration(i) * time.Minute)
				p := &pass{unit: &unit{}, snapshot: source.Snapshot{Metadata: map[string]string{originRevisionKey: "main@sha1:1"}}}
				p.unit.attempts(attempt{e.digest, at.Add(-time.Second)})
				out := Outcome{Reason: e.reason, Revision: rev1}
				if e.reason == good {
					out.Actions = wrote
				}
				history = recorded(history, p.unit.attempted(out), p, out, at)
			}
			if len(history) != len(test.want) {
				t.Fatalf("%d entries, want %d", len(history), len(test.want))
			}
			for i, s := range history {
				if (end{s.Digest, s.LastReconciledStatus}) != test.want[i] || s.TotalReconciliations != test.of[i] {
					t.Errorf("entry %d is %+v", i, s)
				}
				if s.LastReconciledDuration.Duration != time.Second || s.Metadata["revision"] != rev1 || s.Metadata["originRevision"] != "main@sha1:1" {
					t.Errorf("entry %d is %+v", i, s)
				}
			}
		})
	}
}
