// Package artifact serves snapshots as archives, at the addresses that the status of
// sources names. Nothing inside of the process needs it: it is for others who read the
// toolkit's API.
package artifact

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/archive"
	"github.com/plumb-gitops/plumb/source/store"
)

// Latest is the name under which a folder has its newest archive.
const Latest = "latest.tar.gz"

// kept is how many archives a folder has: the newest, and the one before it for
// whoever has just read its address.
const kept = 2

// Server is a http.Handler. It is safe for concurrent use.
type Server struct {
	store *store.Store

	mu      sync.Mutex
	folders map[string][]offer // the newest first
}

// offer is one archive that is served.
type offer struct {
	name    string
	archive source.Archive
	since   time.Time
}

// New makes a server that keeps its archives in a store. It serves nothing yet.
func New(s *store.Store) *Server { return &Server{store: s, folders: map[string][]offer{}} }

// Pack gives the archive of a snapshot: as it came, or a tar file, compressed with
// gzip, that is made of it and kept. Equal content makes equal archives, and is packed
// once. An error is that of reading the snapshot or of the disk.
func (s *Server) Pack(ctx context.Context, snapshot source.Snapshot) (source.Archive, error) {
	if snapshot.Archive != nil {
		return *snapshot.Archive, nil
	}
	key := "packed\x00" + snapshot.Digest
	if note, err := s.store.LoadNote(key); err == nil {
		var digest string
		var found source.Archive
		if _, err := fmt.Sscan(string(note), &digest, &found.Hash, &found.Size); err == nil && s.store.Has(found.Hash) {
			return found, nil
		}
	}
	b := s.store.Begin()
	defer b.Close()
	packed, err := put(ctx, b, snapshot.Tree)
	if err != nil {
		return source.Archive{}, fmt.Errorf("pack revision %s: %w", snapshot.Revision, err)
	}
	return packed, s.store.SaveNote(key, fmt.Appendf(nil, "%s %s %d", snapshot.Digest, packed.Hash, packed.Size))
}

func put(ctx context.Context, b *store.Batch, tree source.Tree) (source.Archive, error) {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(archive.WriteTarGz(w, tree)) }() // never fails
	blob, err := b.Put(ctx, r, -1)
	_ = r.Close() // ends the writer where Put failed
	return source.Archive{Hash: blob.Hash, Size: blob.Size}, err
}

// Offer serves an archive at folder/name, and as the newest of the folder.
func (s *Server) Offer(folder, name string, a source.Archive) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.folders[folder]
	if len(have) > 0 && have[0].name == name && have[0].archive == a {
		return
	}
	next := []offer{{name, a, time.Now()}}
	for _, o := range have {
		if o.name != name && len(next) < kept {
			next = append(next, o)
		}
	}
	s.folders[folder] = next
}

// Withdraw stops serving a folder.
func (s *Server) Withdraw(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.folders, folder)
}

// InUse are the hashes of what is served.
func (s *Server) InUse() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, offers := range s.folders {
		for _, o := range offers {
			all = append(all, o.archive.Hash)
		}
	}
	return all
}

func (s *Server) find(folder, name string) (offer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.folders[folder] {
		if o.name == name || name == Latest {
			return o, true
		}
	}
	return offer{}, false
}

// ServeHTTP answers GET and HEAD, ranges and conditions included. A path is only ever
// compared with those that were offered; none leads to the disk.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "artifacts are only read", http.StatusMethodNotAllowed)
		return
	}
	folder, name := path.Split(strings.TrimPrefix(r.URL.Path, "/"))
	found, ok := s.find(strings.TrimSuffix(folder, "/"), name)
	if !ok {
		http.NotFound(w, r)
		return
	}
	content, err := s.store.Content(found.archive.Hash)
	if err != nil {
		http.Error(w, "the artifact is not there at the moment: it is being fetched again", http.StatusServiceUnavailable)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("ETag", `"sha256:`+found.archive.Hash+`"`)
	http.ServeContent(w, r, "", found.since, content)
}
