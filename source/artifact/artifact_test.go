package artifact_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/archive"
	"github.com/plumb-gitops/plumb/source/artifact"
	"github.com/plumb-gitops/plumb/source/store"
)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func snapshot(t *testing.T, files source.MemoryTree) source.Snapshot {
	t.Helper()
	digest, err := new(source.Digests).Of(files)
	if err != nil {
		t.Fatal(err)
	}
	return source.Snapshot{Revision: "main@sha1:1", Digest: digest, Tree: files}
}

func get(t *testing.T, method, url string, header ...string) (int, http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, body
}

func TestServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := artifact.New(open(t, dir))
	server := httptest.NewServer(s)
	defer server.Close()
	files := source.MemoryTree{"a.yaml": "a: 1\n", "deep/b.yaml": "b: 2\n"}
	packed, err := s.Pack(t.Context(), snapshot(t, files))
	if err != nil {
		t.Fatal(err)
	}
	s.Offer("gitrepository/apps/repo", "1.tar.gz", packed)

	status, header, body := get(t, http.MethodGet, server.URL+"/gitrepository/apps/repo/1.tar.gz")
	sum := sha256.Sum256(body)
	if status != http.StatusOK || hex.EncodeToString(sum[:]) != packed.Hash || int64(len(body)) != packed.Size {
		t.Errorf("status %d, %d bytes of %d with the digest %x, want %s", status, len(body), packed.Size, sum, packed.Hash)
	}
	unpacked := open(t, t.TempDir())
	b := unpacked.Begin()
	defer b.Close()
	got, err := archive.Extract(t.Context(), b, bytes.NewReader(body), source.DefaultLimits())
	if err != nil || len(got) != 2 || got[0].Path != "a.yaml" || got[1].Path != "deep/b.yaml" {
		t.Errorf("the archive holds %+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		method, path string
		header       []string
		status, size int
	}{
		"the newest":           {http.MethodGet, "latest.tar.gz", nil, http.StatusOK, len(body)},
		"its head":             {http.MethodHead, "1.tar.gz", nil, http.StatusOK, 0},
		"a part":               {http.MethodGet, "1.tar.gz", []string{"Range", "bytes=0-9"}, http.StatusPartialContent, 10},
		"known already":        {http.MethodGet, "1.tar.gz", []string{"If-None-Match", header.Get("ETag")}, http.StatusNotModified, 0},
		"another":              {http.MethodGet, "2.tar.gz", nil, http.StatusNotFound, -1},
		"the folder":           {http.MethodGet, "", nil, http.StatusNotFound, -1},
		"a way out":            {http.MethodGet, "..%2f..%2f..%2fetc%2fpasswd", nil, http.StatusNotFound, -1},
		"the store":            {http.MethodGet, "../../../blobs/" + packed.Hash[:2] + "/" + packed.Hash, nil, http.StatusNotFound, -1},
		"something is written": {http.MethodPut, "1.tar.gz", nil, http.StatusMethodNotAllowed, -1},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, got := get(t, c.method, server.URL+"/gitrepository/apps/repo/"+c.path, c.header...)
			if status != c.status || c.size >= 0 && len(got) != c.size {
				t.Errorf("status %d and %d bytes, want %d and %d", status, len(got), c.status, c.size)
			}
		})
	}
}

func TestKeepsTheOneBefore(t *testing.T) {
	t.Parallel()
	s := artifact.New(open(t, t.TempDir()))
	server := httptest.NewServer(s)
	defer server.Close()
	for _, n := range []string{"1", "2", "3"} {
		packed, err := s.Pack(t.Context(), snapshot(t, source.MemoryTree{"n": n}))
		if err != nil {
			t.Fatal(err)
		}
		s.Offer("a/b/c", n+".tar.gz", packed)
		s.Offer("a/b/c", n+".tar.gz", packed)
	}
	for name, want := range map[string]int{"1": http.StatusNotFound, "2": http.StatusOK, "3": http.StatusOK} {
		if status, _, _ := get(t, http.MethodGet, server.URL+"/a/b/c/"+name+".tar.gz"); status != want {
			t.Errorf("%s: status %d, want %d", name, status, want)
		}
	}
	if n := len(s.InUse()); n != 2 {
		t.Errorf("%d in use, want 2", n)
	}
	s.Withdraw("a/b/c")
	if status, _, _ := get(t, http.MethodGet, server.URL+"/a/b/c/latest.tar.gz"); status != http.StatusNotFound {
		t.Errorf("withdrawn, and status %d", status)
	}
}

// TestPackedOnce: also over a restart, unless the archive is lost.
func TestPackedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := snapshot(t, source.MemoryTree{"a": "1"})
	first, err := artifact.New(open(t, dir)).Pack(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	unreadable := content
	unreadable.Tree = nil // packing it anew would panic
	second, err := artifact.New(open(t, dir)).Pack(t.Context(), unreadable)
	if err != nil || second != first {
		t.Errorf("got %+v, %v, want %+v", second, err, first)
	}
	if err := os.Remove(filepath.Join(dir, "blobs", first.Hash[:2], first.Hash)); err != nil {
		t.Fatal(err)
	}
	if third, err := artifact.New(open(t, dir)).Pack(t.Context(), content); err != nil || third != first {
		t.Errorf("got %+v, %v, want %+v", third, err, first)
	}
	ready := content
	ready.Archive = &source.Archive{Hash: "ab", Size: 7}
	if got, err := artifact.New(open(t, dir)).Pack(t.Context(), ready); err != nil || got != *ready.Archive {
		t.Errorf("what came as an archive was packed: %+v, %v", got, err)
	}
}
