package logline

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorded are lines that an engine logged, in both forms.
func recorded(t *testing.T, name string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

func TestBothFormsSayTheSame(t *testing.T) {
	t.Parallel()
	inJSON, inText := recorded(t, "engine.json"), recorded(t, "engine.txt")
	if len(inJSON) != len(inText) || len(inJSON) < 5 {
		t.Fatalf("%d lines in JSON, %d in text", len(inJSON), len(inText))
	}
	for i := range inJSON {
		a, okA := Parse(inJSON[i])
		b, okB := Parse(inText[i])
		if !okA || !okB {
			t.Errorf("not parsed (%t, %t): %s", okA, okB, inJSON[i])
		}
		if diff := cmp.Diff(a.Text(okA), b.Text(okB)); diff != "" {
			t.Errorf("line %d: %s", i, diff)
		}
		for _, l := range []Line{a, b} {
			text, err := l.JSON(true)
			if err != nil || !json.Valid([]byte(text)) {
				t.Errorf("line %d is no JSON (%v): %s", i, err, text)
			}
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		filter Filter
		want   []string // beginnings of what the lines say, as text without their time
	}{
		"a kind":         {Filter{Kinds: []string{"GitRepository"}}, []string{"INFO  GitRepository/shop/fleet: stored artifact"}},
		"an object":      {Filter{Objects: []string{"Kustomization/web"}, Namespace: "shop"}, []string{"INFO  Kustomization/shop/web: ConfigMap/shop/cm created; Service/shop/web created", "ERROR Kustomization/shop/web: event lost", "INFO  Kustomization/shop/web: Applied revision"}},
		"two of them":    {Filter{Kinds: []string{"GitRepository"}, Objects: []string{"HelmRelease/none"}}, []string{"INFO  GitRepository/shop/fleet:"}},
		"a namespace":    {Filter{Namespace: "other"}, []string{"INFO  Kustomization/other/web: source 'GitRepository/other/fleet' not found"}},
		"a level":        {Filter{Level: "error"}, []string{"ERROR Kustomization/shop/web: event lost"}},
		"since":          {Filter{Since: time.Date(2026, 1, 2, 15, 4, 9, 0, time.UTC)}, []string{"INFO  stopped"}},
		"nothing":        {Filter{Kinds: []string{"Bucket"}}, nil},
		"both, at level": {Filter{Namespace: "shop", Level: "error"}, []string{"ERROR Kustomization/shop/web: event lost"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var have []string
			for _, text := range recorded(t, "engine.json") {
				if l, ok := Parse(text); c.filter.Wants(l, ok) {
					_, said, _ := strings.Cut(l.Text(ok), " ")
					have = append(have, said)
				}
			}
			if len(have) != len(c.want) {
				t.Fatalf("%d lines: %q", len(have), have)
			}
			for i := range have {
				if !strings.HasPrefix(have[i], c.want[i]) {
					t.Errorf("line %d says %q, want %q", i, have[i], c.want[i])
				}
			}
		})
	}
}

func TestWhatIsNoLineOfAnEngine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "panic: runtime error", "goroutine 1 [running]:", `{"msg":"no time"}`, `{"time":"2026-01-02T15:04:05Z"`, "time=2026-01-02T15:04:05Z level=INFO", `a="b`, `[1]`} {
		l, ok := Parse(text)
		if ok {
			t.Errorf("%q is taken for a line of an engine", text)
		}
		if !(Filter{}).Wants(l, ok) || (Filter{Level: "debug"}).Wants(l, ok) {
			t.Errorf("%q: wanted with a filter, or not wanted without", text)
		}
		if got := l.Text(ok); got != text {
			t.Errorf("%q became %q", text, got)
		}
		if got, err := l.JSON(ok); err != nil || !json.Valid([]byte(got)) {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	l, ok := Parse(`{"time":"2026-01-02T15:04:05.123456Z","level":"DEBUG+1","msg":"a <b>","kind":"Bucket","namespace":"n","name":"x","revision":"","error":"it \"is\" so","count":12}`)
	want := `2026-01-02T15:04:05.123Z DEBUG+1 Bucket/n/x: a <b> error="it \"is\" so" count=12`
	if got := l.Text(ok); got != want || l.Level != slog.LevelDebug+1 {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
