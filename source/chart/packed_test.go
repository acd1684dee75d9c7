package chart_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/chart"
)

func TestWhatIsPackedInAChartCounts(t *testing.T) {
	t.Parallel()
	large, zeros := strings.Repeat("x", 5001), strings.Repeat("x", 4000)
	for name, c := range map[string]struct {
		parts map[string]string // of the chart that is packed in
		fails string
	}{
		"little":                        {map[string]string{"x": "x"}, ""},
		"a large file":                  {map[string]string{"x": large}, "charts/a.tgz/a/x exceeds 5000 bytes: allow more with --max-file-size"},
		"a large file one level down":   {map[string]string{"charts/b.tgz": pack(t, "b", map[string]string{"x": large})}, "charts/a.tgz/a/charts/b.tgz/b/x exceeds"},
		"many files":                    {map[string]string{"1": "", "2": "", "3": "", "4": "", "5": "", "6": "", "7": "", "8": ""}, "--max-files"},
		"many bytes in all":             {map[string]string{"1": zeros, "2": zeros, "charts/b.tgz": pack(t, "b", map[string]string{"3": zeros})}, "--max-tree-size"},
		"many bytes outside of a chart": {map[string]string{"files/b.tgz": pack(t, "b", map[string]string{"x": large})}, ""},
		"an archive that is none":       {map[string]string{"charts/b.tgz": "b"}, "Helm refuses the chart"},
		"no archive, and in no chart":   {map[string]string{"templates/charts/b.tgz": "b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := source.DefaultLimits()
			limits.FileBytes, limits.Files, limits.TreeBytes = 5000, 8, 10_000
			files := tree(map[string]string{"charts/app/charts/a.tgz": pack(t, "a", c.parts)})
			_, _, err := newBuilt(t, t.TempDir(), limits).builder.Fetch(t.Context(), chart.Spec{Chart: "charts/app", Source: snapshot(t, files, revisionA)}, "")
			switch {
			case c.fails == "" && err != nil:
				t.Error(err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("error %v", err)
			case strings.Contains(c.fails, "--") && !errors.As(err, new(*source.LimitError)):
				t.Errorf("error %T", err)
			}
		})
	}
}

func pack(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	return string(testhelm.Chart(t, name, "1.0.0", files))
}
