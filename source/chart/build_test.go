package chart_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/chart"
	"github.com/plumb-gitops/plumb/source/helmrepo"
)

const (
	revisionA = "main@sha1:0123456789abcdef0123456789abcdef01234567"
	revisionB = "main@sha1:fedcba9876543210fedcba9876543210fedcba98"
)

// tree is a source with the chart app, and what files add to it.
func tree(files map[string]string) source.MemoryTree {
	t := source.MemoryTree{
		"charts/app/Chart.yaml":             "apiVersion: v2\nname: app\nversion: 1.0.0\nmaintained: true\n",
		"charts/app/values.yaml":            "a: 1\nb: {c: 2, d: 3}\n",
		"charts/app/templates/config.yaml":  "kind: ConfigMap\n",
		"charts/app/templates/.hidden.yaml": "no\n",
		"prod.yaml":                         "b: {c: 20}\n",
		"eu.yaml":                           "b: {c: 200}\nl: [1]\n",
	}
	maps.Copy(t, files)
	return t
}

func snapshot(t testing.TB, tree source.Tree, revision string) *source.Snapshot {
	t.Helper()
	var digests source.Digests
	digest, err := digests.Of(tree)
	if err != nil {
		t.Fatal(err)
	}
	return &source.Snapshot{Revision: revision, Digest: digest, Tree: tree}
}

// files are the files of a chart, once as its tree and once as its archive has them,
// which is to be the same.
func (b *built) files(t testing.TB, c chart.Chart) map[string]string {
	t.Helper()
	packed, err := b.store.Read(c.Archive.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(packed)) != c.Archive.Size {
		t.Errorf("the archive has %d bytes, said are %d", len(packed), c.Archive.Size)
	}
	archived, err := loader.LoadArchiveFiles(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	inArchive := map[string]string{}
	for _, f := range archived {
		inArchive[f.Name] = string(f.Data)
	}
	inTree := map[string]string{}
	listed, err := b.store.Files(c.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range listed {
		content, err := c.Tree.Read(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		inTree[strings.TrimPrefix(f.Path, c.Name+"/")] = string(content)
	}
	if diff := cmp.Diff(inArchive, inTree); diff != "" {
		t.Errorf("archive and tree differ:\n%s", diff)
	}
	return inTree
}

// opened looks for a chart by each of its digests.
func (b *built) opened(t testing.TB, c chart.Chart) {
	t.Helper()
	for _, digest := range []string{c.Digest, "sha256:" + c.Archive.Hash} {
		again, err := b.builder.Open(c.Revision, digest)
		if err != nil || again.Digest != c.Digest || again.Name != c.Name || !slices.Equal(again.ValuesFiles, c.ValuesFiles) {
			t.Errorf("opened as %+v, %v", again, err)
		}
	}
}

func TestAChartInAnotherSource(t *testing.T) {
	t.Parallel()
	const plain = "a: 1\nb: {c: 2, d: 3}\n"
	for name, c := range map[string]struct {
		spec             chart.Spec
		files            map[string]string
		version          string
		values           string
		used, there, not []string
	}{
		"as it is":             {version: "1.0.0", values: plain, there: []string{"templates/config.yaml"}, not: []string{"templates/.hidden.yaml"}},
		"with its revision":    {spec: chart.Spec{ReconcileStrategy: chart.Revision}, version: "1.0.0+0123456789ab", values: plain},
		"with values":          {spec: chart.Spec{ValuesFiles: []string{"charts/app/values.yaml", "prod.yaml", "./eu.yaml"}}, version: "1.0.0", values: "a: 1\nb:\n  c: 200\n  d: 3\nl:\n- 1\n", used: []string{"charts/app/values.yaml", "prod.yaml", "./eu.yaml"}},
		"with other values":    {spec: chart.Spec{ValuesFiles: []string{"/prod.yaml"}}, version: "1.0.0", values: "b:\n  c: 20\n", used: []string{"/prod.yaml"}},
		"without some values":  {spec: chart.Spec{ValuesFiles: []string{"us.yaml", "prod.yaml"}, IgnoreMissingValuesFiles: true}, version: "1.0.0", values: "b:\n  c: 20\n", used: []string{"prod.yaml"}},
		"with files to ignore": {files: map[string]string{"charts/app/.helmignore": "*.md\n/ci/\n", "charts/app/README.md": "", "charts/app/ci/test.yaml": "", "charts/app/deep/ci/a": ""}, version: "1.0.0", values: plain, there: []string{"deep/ci/a", ".helmignore"}, not: []string{"README.md", "ci/test.yaml"}},
		"leaving the source":   {spec: chart.Spec{Chart: "../../charts/app"}, version: "1.0.0", values: plain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilt(t, t.TempDir(), source.DefaultLimits())
			s := c.spec
			s.Source = snapshot(t, tree(c.files), revisionA)
			if s.Chart == "" {
				s.Chart = "./charts/app"
			}
			got, changed, err := b.builder.Fetch(t.Context(), s, "")
			if err != nil || !changed || got.Revision != c.version || got.Name != "app" || !got.Packaged || !slices.Equal(got.ValuesFiles, c.used) {
				t.Fatalf("%+v, %v", got, err)
			}
			b.opened(t, got)
			files := b.files(t, got)
			if files["values.yaml"] != c.values {
				t.Errorf("values are\n%s", files["values.yaml"])
			}
			if !strings.Contains(files["Chart.yaml"], "version: "+c.version+"\n") || !strings.Contains(files["Chart.yaml"], "maintained: true") {
				t.Errorf("Chart.yaml is\n%s", files["Chart.yaml"])
			}
			for _, name := range c.there {
				if _, ok := files[name]; !ok {
					t.Errorf("%s is missing", name)
				}
			}
			for _, name := range c.not {
				if _, ok := files[name]; ok {
					t.Errorf("%s is there", name)
				}
			}
			again, _, err := newBuilt(t, t.TempDir(), source.DefaultLimits()).builder.Fetch(t.Context(), s, "")
			if err != nil || again.Archive.Hash != got.Archive.Hash || again.Digest != got.Digest {
				t.Errorf("built elsewhere, it differs: %v", err)
			}
		})
	}
}

func TestWhatMakesANewArtifactOfAChartInAnotherSource(t *testing.T) {
	t.Parallel()
	changed := map[string]string{"charts/app/templates/config.yaml": "kind: Secret\n"}
	higher := map[string]string{"charts/app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.1.0\n"}
	for name, c := range map[string]struct {
		strategy   string
		owner      string
		generation int64
		files      map[string]string
		version    string
		same       bool // the artifact
	}{
		"a template, by version":                  {"", "uid", 1, changed, "1.0.0", true},
		"a template, without an owner":            {"", "", 1, changed, "1.0.0", false},
		"a template, and the generation":          {"", "uid", 2, changed, "1.0.0", false},
		"the version":                             {chart.ChartVersion, "uid", 1, higher, "1.1.0", false},
		"a template, by revision":                 {chart.Revision, "uid", 1, changed, "1.0.0+fedcba987654", false},
		"the revision only, by version":           {chart.ChartVersion, "uid", 1, nil, "1.0.0", true},
		"the revision only, by revision":          {chart.Revision, "uid", 1, nil, "1.0.0+fedcba987654", false},
		"the revision only, without an owner too": {"", "", 1, nil, "1.0.0", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilt(t, t.TempDir(), source.DefaultLimits())
			s := chart.Spec{Owner: c.owner, Generation: 1, Chart: "charts/app", ReconcileStrategy: c.strategy, Source: snapshot(t, tree(nil), revisionA)}
			one, _, err := b.builder.Fetch(t.Context(), s, "")
			if err != nil {
				t.Fatal(err)
			}
			s.Generation, s.Source = c.generation, snapshot(t, tree(c.files), revisionB)
			two, changed, err := b.builder.Fetch(t.Context(), s, one.Revision)
			if err != nil || two.Revision != c.version || changed != (one.Revision != c.version) {
				t.Errorf("version %s, changed %t, %v", two.Revision, changed, err)
			}
			if same := one.Archive.Hash == two.Archive.Hash; same != c.same {
				t.Errorf("the same artifact: %t", same)
			}
		})
	}
}

func TestAVersionThatComesBackIsBuiltAnew(t *testing.T) {
	t.Parallel()
	b := newBuilt(t, t.TempDir(), source.DefaultLimits())
	s := chart.Spec{Owner: "uid", Chart: "charts/app"}
	last, digest := "", ""
	for i, files := range []map[string]string{
		nil,
		{"charts/app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.1.0\n"},
		{"charts/app/templates/config.yaml": "kind: Secret\n"},
	} {
		s.Source = snapshot(t, tree(files), revisionA)
		got, changed, err := b.builder.Fetch(t.Context(), s, last)
		if err != nil || !changed || got.Digest == digest {
			t.Errorf("build %d: %+v, %v", i, got, err)
		}
		last, digest = got.Revision, got.Digest
	}
}

func TestAChartInARepository(t *testing.T) {
	t.Parallel()
	server := testhelm.Start(t, testhelm.Options{})
	archive := testhelm.Chart(t, "app", "1.0.0", map[string]string{"values.yaml": "a: 1\n", "prod.yaml": "a: 2\n", "deep/x.yaml": "b: 3\n"})
	server.Publish(t, map[string][]byte{"app-1.0.0.tgz": archive, "app-2.0.0.tgz": testhelm.Chart(t, "app", "2.0.0", nil)})
	b := newBuilt(t, t.TempDir(), source.DefaultLimits())
	s := chart.Spec{Chart: "app", Version: "1.x", Generation: 7, Repository: &helmrepo.Spec{URL: server.URL}}
	got, _, err := b.builder.Fetch(t.Context(), s, "")
	if err != nil || got.Revision != "1.0.0" || got.Packaged || got.Archive.Hash != testhelm.Hash(archive) {
		t.Fatalf("%+v, %v", got, err)
	}
	b.opened(t, got)
	b.files(t, got)

	s.ValuesFiles = []string{"values.yaml", "prod.yaml", "deep/x.yaml"}
	got, _, err = b.builder.Fetch(t.Context(), s, got.Revision)
	if err != nil || got.Revision != "1.0.0+7" || !got.Packaged || len(got.ValuesFiles) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	files := b.files(t, got)
	if files["values.yaml"] != "a: 2\nb: 3\n" || !strings.Contains(files["Chart.yaml"], "version: 1.0.0+7") {
		t.Errorf("files are %v", files)
	}
	_, changed, err := b.builder.Fetch(t.Context(), s, got.Revision)
	if err != nil || changed {
		t.Error(changed, err)
	}
	if n := server.Count("app-1.0.0.tgz") + server.Count("index.yaml"); n != 2 {
		t.Errorf("%d downloads for three builds", n)
	}
	s.Version = "3.x"
	if _, _, err := b.builder.Fetch(t.Context(), s, ""); !errors.As(err, new(*source.NotFoundError)) {
		t.Errorf("a version that is not there: %v", err)
	}
	s.Version, s.ValuesFiles = "*", []string{"none.yaml"}
	if _, _, err := b.builder.Fetch(t.Context(), s, ""); !errors.As(err, new(*source.NotFoundError)) || !strings.Contains(err.Error(), `chart "app" version 2.0.0: values file none.yaml`) {
		t.Errorf("values that are not there: %v", err)
	}
}

func TestChartsThatAreRefused(t *testing.T) {
	t.Parallel()
	small := source.DefaultLimits()
	small.FileBytes, small.Files = 100, 8
	for name, c := range map[string]struct {
		spec  chart.Spec
		files map[string]string
		is    any
		want  string
	}{
		"nothing there":         {chart.Spec{Chart: "none"}, nil, new(*source.NotFoundError), "chart none at revision " + revisionA},
		"no chart":              {chart.Spec{Chart: "charts"}, nil, new(*source.NotFoundError), "Chart.yaml"},
		"neither":               {chart.Spec{Chart: "prod.yaml"}, nil, new(*source.InvalidError), "neither a folder nor an archive"},
		"no version":            {chart.Spec{}, map[string]string{"charts/app/Chart.yaml": "name: app\nversion: one\n"}, new(*source.InvalidError), `version "one"`},
		"no YAML":               {chart.Spec{}, map[string]string{"charts/app/Chart.yaml": "{"}, new(*source.InvalidError), "Chart.yaml"},
		"a name that leaves":    {chart.Spec{}, map[string]string{"charts/app/Chart.yaml": "apiVersion: v2\nname: ../app\nversion: 1.0.0\n"}, new(*source.InvalidError), "Helm refuses"},
		"values that are none":  {chart.Spec{ValuesFiles: []string{"bad.yaml"}}, map[string]string{"bad.yaml": "- a\n"}, new(*source.InvalidError), "values file bad.yaml"},
		"values not there":      {chart.Spec{ValuesFiles: []string{"us.yaml"}}, nil, new(*source.NotFoundError), "set spec.ignoreMissingValuesFiles"},
		"a large file":          {chart.Spec{}, map[string]string{"charts/app/large": strings.Repeat("x", 101)}, new(*source.LimitError), "--max-file-size"},
		"many files":            {chart.Spec{}, map[string]string{"charts/app/1": "", "charts/app/2": "", "charts/app/3": "", "charts/app/4": "", "charts/app/5": ""}, new(*source.LimitError), "--max-files"},
		"a strategy of its own": {chart.Spec{ReconcileStrategy: "Always"}, nil, new(*source.InvalidError), "reconcileStrategy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.spec
			if s.Chart == "" {
				s.Chart = "charts/app"
			}
			s.Source = snapshot(t, tree(c.files), revisionA)
			_, _, err := newBuilt(t, t.TempDir(), small).builder.Fetch(t.Context(), s, "")
			if err == nil || !errors.As(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAnArchiveInAnotherSource(t *testing.T) {
	t.Parallel()
	archive := testhelm.Chart(t, "app", "1.0.0", map[string]string{"values.yaml": "a: 1\n"})
	files := tree(map[string]string{"packed/app.tgz": string(archive)})
	b := newBuilt(t, t.TempDir(), source.DefaultLimits())
	s := chart.Spec{Chart: "packed/app.tgz", Source: snapshot(t, files, revisionA)}
	got, _, err := b.builder.Fetch(t.Context(), s, "")
	if err != nil || got.Archive.Hash != testhelm.Hash(archive) || got.Packaged || got.Revision != "1.0.0" {
		t.Fatalf("%+v, %v", got, err)
	}
	s.ReconcileStrategy, s.ValuesFiles = chart.Revision, []string{"prod.yaml"}
	got, _, err = b.builder.Fetch(t.Context(), s, got.Revision)
	if err != nil || got.Revision != "1.0.0+0123456789ab" || !got.Packaged {
		t.Fatalf("%+v, %v", got, err)
	}
	if values := b.files(t, got)["values.yaml"]; values != "b:\n  c: 20\n" {
		t.Errorf("values are %q", values)
	}
}
