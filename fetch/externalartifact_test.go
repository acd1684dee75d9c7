package fetch_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
)

func TestFieldsOfAnExternalArtifact(t *testing.T) {
	t.Parallel()
	packed := testregistry.TarGz(t, map[string]string{"app/a.yaml": "a"})
	server := testhelm.Start(t, testhelm.Options{})
	server.Put("made/1.tar.gz", packed)
	server.Put("made/text.tar.gz", []byte("no archive"))
	artifact := func(change func(*meta.Artifact)) meta.Artifact {
		a := meta.Artifact{
			Path: "made/1.tar.gz", URL: server.URL + "/made/1.tar.gz", Revision: "v1@sha256:1", Digest: "sha256:" + testhelm.Hash(packed),
			Metadata: map[string]string{"by": "renderer"},
		}
		change(&a)
		return a
	}
	for label, c := range map[string]struct {
		artifact meta.Artifact
		is       any // the type of the error; any for nil
		text     string
	}{
		"as it is":                 {artifact(func(*meta.Artifact) {}), nil, ""},
		"revision":                 {artifact(func(a *meta.Artifact) { a.Revision = "v2@sha256:2" }), nil, ""},
		"metadata, none":           {artifact(func(a *meta.Artifact) { a.Metadata = nil }), nil, ""},
		"path decides nothing":     {artifact(func(a *meta.Artifact) { a.Path = "elsewhere" }), nil, ""},
		"digest of something else": {artifact(func(a *meta.Artifact) { a.Digest = "sha256:" + testhelm.Hash(nil) }), nil, "the archive has the digest sha256:" + testhelm.Hash(packed) + ", in the status it is sha256:"},
		"digest of another kind":   {artifact(func(a *meta.Artifact) { a.Digest = "md5:00" }), new(*source.InvalidError), `status.artifact.digest "md5:00" is no SHA-256`},
		"url with nothing there":   {artifact(func(a *meta.Artifact) { a.URL = server.URL + "/made/2.tar.gz" }), new(*source.NotFoundError), "/made/2.tar.gz"},
		"url that is none":         {artifact(func(a *meta.Artifact) { a.URL = "http://\x00" }), new(*source.InvalidError), "status.artifact.url cannot be parsed"},
		"url of what is no archive": {artifact(func(a *meta.Artifact) {
			a.URL, a.Digest = server.URL+"/made/text.tar.gz", "sha256:"+testhelm.Hash([]byte("no archive"))
		}), nil, "is no tar.gz"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			backends, err := fetch.Open(t.TempDir(), fetch.Options{Limits: source.DefaultLimits()})
			if err != nil {
				t.Fatal(err)
			}
			found, err := backends.External.Fetch(t.Context(), c.artifact)
			if c.text != "" {
				if err == nil || !strings.Contains(err.Error(), c.text) || c.is != nil && !errors.As(err, c.is) {
					t.Errorf("got %v, want %s", err, c.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := backends.External.Open(c.artifact)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []source.Snapshot{found, again} {
				got := fmt.Sprint(s.Revision, s.Digest, s.Metadata, s.Archive.Size)
				want := fmt.Sprint(c.artifact.Revision, c.artifact.Digest, c.artifact.Metadata, len(packed))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				if text, err := s.Tree.Read("app/a.yaml"); err != nil || string(text) != "a" {
					t.Errorf("app/a.yaml: %q, %v", text, err)
				}
			}
		})
	}
}

// TestAnExternalArtifactIsDownloadedOnce: what has the digest is there already,
// whatever else of the status changes.
func TestAnExternalArtifactIsDownloadedOnce(t *testing.T) {
	t.Parallel()
	packed := testregistry.TarGz(t, map[string]string{"a.yaml": "a"})
	server := testhelm.Start(t, testhelm.Options{})
	server.Put("1.tar.gz", packed)
	server.Put("2.tar.gz", packed)
	dir := t.TempDir()
	for _, name := range []string{"1.tar.gz", "1.tar.gz", "2.tar.gz"} {
		backends, err := fetch.Open(dir, fetch.Options{Limits: source.DefaultLimits()})
		if err != nil {
			t.Fatal(err)
		}
		a := meta.Artifact{URL: server.URL + "/" + name, Revision: "v1@sha256:" + name, Digest: "sha256:" + testhelm.Hash(packed)}
		if found, err := backends.External.Fetch(t.Context(), a); err != nil || found.Revision != a.Revision {
			t.Errorf("%s: %s, %v", name, found.Revision, err)
		}
	}
	if requests := server.Requests(); len(requests) != 1 || requests[0].Status != http.StatusOK {
		t.Errorf("the server was asked %v, want one request", requests)
	}
}
