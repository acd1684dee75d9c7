package cli

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/drift"
)

func TestNamedWithoutACluster(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		kinds, objects []string
		err            string
	}{
		"":                           {},
		"ks":                         {kinds: []string{"Kustomization"}},
		"ks,HR":                      {kinds: []string{"Kustomization", "HelmRelease"}},
		"sources":                    {kinds: []string{"GitRepository", "OCIRepository", "Bucket", "HelmRepository", "HelmChart", "ExternalArtifact"}},
		"ks a b":                     {objects: []string{"Kustomization/a", "Kustomization/b"}},
		"kustomizations/a hr/b":      {objects: []string{"Kustomization/a", "HelmRelease/b"}},
		"ks/a b":                     {err: `"b": want KIND/NAME`},
		"ks/":                        {err: `"ks/": want KIND/NAME`},
		"all/a":                      {err: `"all/a": want KIND/NAME`},
		"kustomisation":              {err: "did you mean kustomization?"},
		"deployment/web kustom/apps": {err: `knows no kind "deployment"`},
	} {
		kinds, objects, err := named(strings.Fields(args))
		if want.err != "" {
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v, want %q", args, err, want.err)
			}
			continue
		}
		if err != nil || !slices.Equal(kinds, want.kinds) || !slices.Equal(objects, want.objects) {
			t.Errorf("%q: %v %v, %v", args, kinds, objects, err)
		}
	}
}

func TestUnitsOfDrift(t *testing.T) {
	t.Parallel()
	report := func(kind, unit string) drift.Report { return drift.Report{Kind: kind, Unit: unit} }
	for args, want := range map[string][4]bool{ // of Kustomization a/web, Kustomization a/db, HelmRelease a/web, Kustomization b/web
		"":          {true, true, true, false},
		"web":       {true, false, false, false},
		"ks/web":    {true, false, false, false},
		"hr":        {false, false, true, false},
		"hr,ks web": {true, false, true, false},
		"ks":        {true, true, false, false},
	} {
		wanted, err := units(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		reports := []drift.Report{report("Kustomization", "a/web"), report("Kustomization", "a/db"), report("HelmRelease", "a/web"), report("Kustomization", "b/web")}
		for i, r := range reports {
			if got := wants(wanted, "a", r); got != want[i] {
				t.Errorf("%q: %s/%s wanted: %t", args, r.Kind, r.Unit, got)
			}
		}
		if !wants(nil, "", reports[3]) {
			t.Error("not wanted of all namespaces")
		}
	}
}

func TestLogQuery(t *testing.T) {
	t.Parallel()
	f := logsFlags{tail: -1}
	if got := f.query(); len(got) != 0 {
		t.Errorf("without flags: %v", got)
	}
	f = logsFlags{tail: 0, follow: true, previous: true, since: 1500 * time.Millisecond}
	want := url.Values{"tailLines": {"0"}, "follow": {"true"}, "previous": {"true"}, "sinceSeconds": {"2"}}
	if got := f.query(); got.Encode() != want.Encode() {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLogsOfAFile(t *testing.T) {
	t.Parallel()
	const recorded = "../internal/logline/testdata/engine.json"
	for args, want := range map[string]struct {
		code int
		out  []string // beginnings of the lines
		err  string
	}{
		"ks web -n shop --level error": {out: []string{"2026-01-02T15:04:07.123Z ERROR Kustomization/shop/web: event lost"}},
		"GitRepository/fleet -o json":  {out: []string{`{"time":"2026-01-02T15:04:05.623456Z","level":"INFO","msg":"stored artifact`}},
		"--tail 1":                     {out: []string{"2026-01-02T15:04:09.123Z INFO  stopped"}},
		"--since 1s":                   {},
		"--level loud":                 {code: exitUsage, err: "--level loud: want debug, info, warn or error"},
		"-f":                           {code: exitUsage, err: "leave --follow and --previous out"},
		"--tail -2":                    {code: exitUsage, err: "want a number of lines"},
		"-o yaml":                      {code: exitUsage, err: "-o yaml: want text or json"},
		"kustomisation":                {code: exitUsage, err: "did you mean kustomization?"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			var out, errOut strings.Builder
			code := Main(append([]string{"logs", "--file", recorded}, strings.Fields(args)...), &out, &errOut)
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if out.Len() == 0 {
				lines = nil
			}
			if code != want.code || len(lines) != len(want.out) || !strings.Contains(errOut.String(), want.err) {
				t.Fatalf("code %d, said %q and %q", code, lines, errOut.String())
			}
			for i := range lines {
				if !strings.HasPrefix(lines[i], want.out[i]) {
					t.Errorf("line %d is %q, want %q", i, lines[i], want.out[i])
				}
			}
		})
	}
	var errOut strings.Builder
	if code := Main([]string{"logs", "--file", "testdata/none.log"}, &strings.Builder{}, &errOut); code != exitUsage || !strings.Contains(errOut.String(), "none.log") {
		t.Errorf("a file that is missing: code %d, %s", code, errOut.String())
	}
}
