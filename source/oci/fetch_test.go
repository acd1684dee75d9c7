package oci_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
)

func TestRefs(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	digests := map[string]string{}
	for _, tag := range []string{"latest", "main", "v1.0.0", "1.2.0", "1.3.0-rc.1", "2.0.0", "10.0.0-dev"} {
		digests[tag] = push(t, r, tag, "tag: "+tag+"\n").Digest.String()
	}
	digest := digests["v1.0.0"]
	missing := "sha256:" + strings.Repeat("0", 64)
	tests := map[string]struct {
		ref  oci.Ref
		want string // the tag that it means
		err  any
	}{
		"none is latest":                {want: "latest"},
		"a tag":                         {ref: oci.Ref{Tag: "main"}, want: "main"},
		"a range":                       {ref: oci.Ref{SemVer: "1.x"}, want: "1.2.0"},
		"a range goes before a tag":     {ref: oci.Ref{SemVer: ">=1.0.0", Tag: "main"}, want: "2.0.0"},
		"a range with prereleases":      {ref: oci.Ref{SemVer: "~1-0"}, want: "1.3.0-rc.1"},
		"a range with a filter":         {ref: oci.Ref{SemVer: ">=1.0.0", SemVerFilter: "^v"}, want: "v1.0.0"},
		"a digest goes before all":      {ref: oci.Ref{Digest: digest, SemVer: "2.x", Tag: "main"}, want: "v1.0.0"},
		"no such tag":                   {ref: oci.Ref{Tag: "none"}, err: new(*source.NotFoundError)},
		"no such digest":                {ref: oci.Ref{Digest: missing}, err: new(*source.NotFoundError)},
		"no version in the range":       {ref: oci.Ref{SemVer: ">=3"}, err: new(*source.NotFoundError)},
		"no version through the filter": {ref: oci.Ref{SemVer: "1.x", SemVerFilter: "^x"}, err: new(*source.NotFoundError)},
		"not a range":                   {ref: oci.Ref{SemVer: "one"}, err: new(*source.InvalidError)},
		"not a filter":                  {ref: oci.Ref{SemVer: "1.x", SemVerFilter: "("}, err: new(*source.InvalidError)},
		"not a digest":                  {ref: oci.Ref{Digest: "sha256:abc"}, err: new(*source.InvalidError)},
		"not a tag":                     {ref: oci.Ref{Tag: "../../latest"}, err: new(*source.InvalidError)},
	}
	client := newClient(t, t.TempDir(), source.DefaultLimits())
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := plain(r.Address)
			spec.Ref = tc.ref
			s, changed, err := client.Fetch(t.Context(), spec, "")
			if tc.err != nil {
				if !errors.As(err, tc.err) || !strings.HasPrefix(err.Error(), spec.URL+": ") {
					t.Errorf("got %v, want a %T", err, tc.err)
				}
				return
			}
			want := tc.want + "@" + digests[tc.want]
			if tc.ref.Digest != "" {
				want = tc.ref.Digest
			}
			if err != nil || !changed || s.Revision != want {
				t.Fatalf("revision %q, changed %t, %v; want %q", s.Revision, changed, err, want)
			}
			if text, err := s.Tree.Read("a.yaml"); err != nil || string(text) != "tag: "+tc.want+"\n" {
				t.Errorf("a.yaml: %q, %v", text, err)
			}
		})
	}
}

// What a poll costs: one request, whoever made the fetch before; none at all for
// a digest. Layers that came once don't come again.
func TestTraffic(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	meter := r.Metered(t)
	first := push(t, r, "latest", "a: 1\n")
	dir := t.TempDir()
	client, spec := newClient(t, dir, source.DefaultLimits()), plain(meter.Address)
	s, _, err := client.Fetch(t.Context(), spec, "")
	check(t, err)
	meter.Take()
	const head = "HEAD /v2/" + repository + "/manifests/"

	_, changed, err := client.Fetch(t.Context(), spec, s.Revision)
	check(t, err)
	if diff := cmp.Diff([]string{head + "latest"}, meter.Take()); diff != "" || changed {
		t.Errorf("unchanged, changed is %t:\n%s", changed, diff)
	}
	_, _, err = newClient(t, dir, source.DefaultLimits()).Fetch(t.Context(), spec, "")
	check(t, err)
	if diff := cmp.Diff([]string{"GET /v2/", head + "latest"}, meter.Take()); diff != "" {
		t.Errorf("after a restart:\n%s", diff)
	}

	pinned := spec
	pinned.Ref.Digest = first.Digest.String()
	p, _, err := client.Fetch(t.Context(), pinned, "")
	check(t, err)
	if diff := cmp.Diff([]string{head + first.Digest.String()}, meter.Take()); diff != "" {
		t.Errorf("a digest, first:\n%s", diff)
	}
	_, _, err = client.Fetch(t.Context(), pinned, p.Revision)
	check(t, err)
	if asked := meter.Take(); len(asked) != 0 {
		t.Errorf("a digest, unchanged: %v", asked)
	}

	next := content(t, "a: 1\n")
	next.Annotations = map[string]string{"org.opencontainers.image.revision": "main@sha1:0123", "org.opencontainers.image.source": "https://git.example.com"}
	r.Push(t, repository, "latest", next)
	n, changed, err := client.Fetch(t.Context(), spec, s.Revision)
	check(t, err)
	for _, asked := range meter.Take() {
		if strings.Contains(asked, "/blobs/") {
			t.Errorf("the layer came again: %s", asked)
		}
	}
	if !changed || n.Digest != s.Digest || !cmp.Equal(n.Metadata, next.Annotations) {
		t.Errorf("changed %t, digest %s, metadata %v", changed, n.Digest, n.Metadata)
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	const chartType, textType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "text/plain"
	chart := testregistry.TarGz(t, map[string]string{"app/Chart.yaml": "name: app\n", "app/logo.png": "png"})
	manifests := testregistry.TarGz(t, map[string]string{"a.yaml": "a: 1\n", "logo.png": "png"})
	text := []byte("just a text")
	r.Push(t, repository, "latest", testregistry.Artifact{Layers: []testregistry.Layer{
		{Content: manifests}, {MediaType: chartType, Content: chart}, {MediaType: textType, Content: text}, {MediaType: textType, Content: []byte("second")},
	}})
	tests := map[string]struct {
		layer   oci.LayerSelector
		files   []string
		archive []byte
		err     string
	}{
		"the first":                  {files: []string{"a.yaml"}},
		"by media type":              {layer: oci.LayerSelector{MediaType: chartType}, files: []string{"app/Chart.yaml"}},
		"extract, in so many words":  {layer: oci.LayerSelector{Operation: oci.Extract}, files: []string{"a.yaml"}},
		"copy the first":             {layer: oci.LayerSelector{Operation: oci.Copy}, files: []string{"a.yaml", "logo.png"}, archive: manifests},
		"copy by media type":         {layer: oci.LayerSelector{MediaType: chartType, Operation: oci.Copy}, files: []string{"app/Chart.yaml", "app/logo.png"}, archive: chart},
		"copy what is no archive":    {layer: oci.LayerSelector{MediaType: textType, Operation: oci.Copy}, archive: text},
		"no layer of the media type": {layer: oci.LayerSelector{MediaType: "x/y"}, err: `there are ["application/vnd.cncf.flux.content.v1.tar+gzip" "application/vnd.cncf.helm.chart.content.v1.tar+gzip" "text/plain"]`},
		"no such operation":          {layer: oci.LayerSelector{Operation: "link"}, err: "extract or copy"},
	}
	dir := t.TempDir()
	client := newClient(t, dir, source.DefaultLimits())
	blobs, err := store.Open(dir, store.Options{})
	check(t, err)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := plain(r.Address)
			spec.Layer = tc.layer
			s, _, err := client.Fetch(t.Context(), spec, "")
			if tc.err != "" {
				typed := errors.As(err, new(*source.InvalidError)) || errors.As(err, new(*oci.LayerError))
				if !typed || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want an InvalidError or a LayerError with %q", err, tc.err)
				}
				return
			}
			check(t, err)
			if diff := cmp.Diff(tc.files, filesOf(t, s.Tree, ".")); diff != "" {
				t.Errorf("files:\n%s", diff)
			}
			if (s.Archive != nil) != (tc.archive != nil) {
				t.Fatalf("archive: %v", s.Archive)
			}
			if s.Archive != nil {
				kept, err := blobs.Read(s.Archive.Hash)
				if err != nil || !bytes.Equal(kept, tc.archive) || s.Archive.Size != int64(len(tc.archive)) || s.Digest != "sha256:"+s.Archive.Hash {
					t.Errorf("kept %d bytes as %+v, digest %s: %v", len(kept), s.Archive, s.Digest, err)
				}
			}
			if again, err := client.Open(spec, s.Revision); err != nil || again.Digest != s.Digest {
				t.Errorf("opened again: %s, %v", again.Digest, err)
			}
		})
	}
}

func filesOf(t *testing.T, tree source.Tree, dir string) (all []string) {
	t.Helper()
	entries, err := tree.List(dir)
	check(t, err)
	for _, e := range entries {
		name := strings.TrimPrefix(dir+"/"+e.Name, "./")
		if e.IsDir() {
			all = append(all, filesOf(t, tree, name)...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

func TestIndex(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	one := func(text, arch string) mutate.IndexAddendum {
		a := mutate.IndexAddendum{Add: content(t, text).Image(t)}
		if arch != "" {
			a.Platform = &v1.Platform{OS: "linux", Architecture: arch}
		}
		return a
	}
	for name, tc := range map[string]struct {
		all  []mutate.IndexAddendum
		want string
	}{
		"that for linux/amd64": {[]mutate.IndexAddendum{one("a: arm\n", "arm64"), one("a: amd\n", "amd64")}, "a: amd\n"},
		"else the first":       {[]mutate.IndexAddendum{one("a: first\n", ""), one("a: arm\n", "arm64")}, "a: first\n"},
	} {
		tag := strings.ReplaceAll(strings.ReplaceAll(name, "/", "-"), " ", "-")
		index := r.PushIndex(t, repository, tag, tc.all...)
		spec := plain(r.Address)
		spec.Ref.Tag = tag
		s, _, err := newClient(t, t.TempDir(), source.DefaultLimits()).Fetch(t.Context(), spec, "")
		check(t, err)
		if text, err := s.Tree.Read("a.yaml"); err != nil || string(text) != tc.want || s.Revision != tag+"@"+index.Digest.String() {
			t.Errorf("%s: %q at %s, %v", name, text, s.Revision, err)
		}
	}
}

func TestIgnoreOfSpec(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	r.Push(t, repository, "latest", testregistry.Artifact{Layers: []testregistry.Layer{{
		Content: testregistry.TarGz(t, map[string]string{"a.yaml": "a", "b.yaml": "b", "c.png": "c"}),
	}}})
	rules := "b.yaml\n!c.png\n"
	client, spec := newClient(t, t.TempDir(), source.DefaultLimits()), plain(r.Address)
	all, _, err := client.Fetch(t.Context(), spec, "")
	check(t, err)
	spec.Ignore = &rules
	s, _, err := client.Fetch(t.Context(), spec, "")
	check(t, err)
	if files := filesOf(t, s.Tree, "."); !slices.Equal(files, []string{"a.yaml", "c.png"}) || s.Digest == all.Digest {
		t.Errorf("%v, digest %s", files, s.Digest)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	push(t, r, "latest", strings.Repeat("text ", 1000))
	for name, tc := range map[string]struct {
		change func(*source.Limits)
		flag   string
	}{
		"the layer": {func(l *source.Limits) { l.ArchiveBytes = 10 }, "--max-archive-size"},
		"a file":    {func(l *source.Limits) { l.FileBytes = 10 }, "--max-file-size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := source.DefaultLimits()
			tc.change(&limits)
			_, _, err := newClient(t, t.TempDir(), limits).Fetch(t.Context(), plain(r.Address), "")
			var limit *source.LimitError
			if !errors.As(err, &limit) || limit.Flag != tc.flag || !strings.HasPrefix(err.Error(), "oci://") {
				t.Errorf("got %v, want a LimitError of %s", err, tc.flag)
			}
		})
	}
}

func TestPull(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	meter := r.Metered(t)
	const configType, chartType, provType = "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/vnd.cncf.helm.chart.provenance.v1.prov"
	chart := testregistry.TarGz(t, map[string]string{"app/Chart.yaml": "name: app\n"})
	r.Push(t, repository, "1.2.3", testregistry.Artifact{Type: configType, Layers: []testregistry.Layer{
		{MediaType: chartType, Content: chart}, {MediaType: provType, Content: []byte("signed")},
	}})
	dir := t.TempDir()
	client, spec := newClient(t, dir, source.DefaultLimits()), plain(meter.Address)
	tags, err := client.Tags(t.Context(), spec)
	if err != nil || !slices.Equal(tags, []string{"1.2.3"}) {
		t.Fatalf("tags %v, %v", tags, err)
	}
	blobs, err := store.Open(dir, store.Options{})
	check(t, err)
	batch := blobs.Begin()
	defer batch.Close()
	for range 2 {
		meter.Take()
		a, err := client.Pull(t.Context(), batch, spec, oci.Ref{Tag: "1.2.3"}, chartType, provType)
		check(t, err)
		layer, ok := a.Layer(chartType)
		if kept, err := blobs.Read(layer.Hash); !ok || err != nil || !bytes.Equal(kept, chart) || len(a.Layers) != 2 || len(a.Config) == 0 {
			t.Errorf("%d bytes of %+v, %v", len(kept), a, err)
		}
	}
	if diff := cmp.Diff([]string{"HEAD /v2/" + repository + "/manifests/1.2.3"}, meter.Take()); diff != "" {
		t.Errorf("pulled again:\n%s", diff)
	}
	if _, err := client.Pull(t.Context(), batch, spec, oci.Ref{Tag: "1.2.3"}, "x/y"); !errors.As(err, new(*oci.LayerError)) {
		t.Errorf("no such layer: %v", err)
	}
	spec.URL += "/none"
	if _, err := client.Tags(t.Context(), spec); !errors.As(err, new(*source.NotFoundError)) {
		t.Errorf("no such repository: %v", err)
	}
}
