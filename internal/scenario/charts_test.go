package scenario_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testhelm"
)

// library NAME CHART@VERSION...: a Helm repository at $NAME with charts out of
// testdata/charts, packed at these versions; a second call adds to it.
func (s *script) library(args []string) {
	h, ok := s.helm[args[0]]
	if !ok {
		h = &helm{Server: testhelm.Start(s.TB(), testhelm.Options{}), charts: map[string][]byte{}}
		s.helm[args[0]] = h
		s.set(args[0], h.URL)
	}
	for _, arg := range args[1:] {
		name, version, _ := strings.Cut(arg, "@")
		h.charts[name+"-"+version+".tgz"] = s.pack(name, version)
	}
	h.Publish(s.TB(), h.charts)
}

// pack packs a chart with what it depends on.
func (s *script) pack(name, version string) []byte {
	ch, err := loader.LoadDir(chartFolder(name))
	s.ts.Check(err)
	ch.Metadata.Version = version
	file, err := chartutil.Save(ch, s.TB().TempDir())
	s.ts.Check(err)
	content, err := os.ReadFile(file)
	s.ts.Check(err)
	return content
}

// copychart CHART DIR: puts a chart out of testdata/charts into a folder.
func (s *script) copyChart(args []string) {
	s.ts.Check(os.CopyFS(s.ts.MkAbs(args[1]), os.DirFS(chartFolder(args[0]))))
}

func chartFolder(name string) string {
	return filepath.Join(scenario.Root(), "testdata", "charts", name)
}

// helm CODE ARGS...: runs the helm command line in $NS; compare with stdout, stderr.
func (s *script) helmCommand(args []string) {
	want, err := strconv.Atoi(args[0])
	s.ts.Check(err)
	out, errOut, code := s.Helm(s.ts.MkAbs("."), args[1:]...)
	fmt.Fprint(s.ts.Stdout(), out)
	fmt.Fprint(s.ts.Stderr(), errOut)
	if code != want {
		s.ts.Fatalf("exit code %d, want %d\n%s\n%s", code, want, out, errOut)
	}
}

// crash: ends the engine as a power cut would. (testscript has a kill of its own.)
func (s *script) crash([]string) { s.Kill() }
