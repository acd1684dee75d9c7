// Package git brings snapshots of Git repositories.
//
// A Store keeps one repository per URL on disk, shared by all who name the URL;
// files are read straight out of its packs, nothing is checked out. A fetch
// brings the wanted commit without its history (it is shallow), and of that only
// the difference to the commits that the store has. So history is never paid
// for, whether the branch moved on, was merged or was rewritten.
//
// The repository is kept in generations. A generation only gains objects; one
// that has grown too much, or that is damaged, is replaced by a fresh one beside
// it. Commits that were fetched whole are the tips of a generation.
package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"weak"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of a Store.
type Options struct {
	// AllowFile allows file:// URLs. They read this machine's disk, and need the
	// git program.
	AllowFile bool
	// SSHHostKeyAlgorithms and SSHKexAlgorithms are the algorithms of SSH that may be
	// used. Empty stands for all that don't rest on SHA-1.
	SSHHostKeyAlgorithms, SSHKexAlgorithms []string
}

// Spec is what to fetch.
type Spec struct {
	URL       string
	Ref       Ref
	Auth      Auth
	Login     Login             // gives Auth, nil where it is given
	Transport transport.Options // how to reach the server: certificates (https) and a proxy
	Ignore    *string           // spec.ignore, nil when it is not set
	// Sparse names the folders to see, all when it is empty.
	Sparse []string
	// Submodules are fetched as well, and theirs.
	Submodules bool
	// Verify says who has to have signed what; nil for nobody.
	Verify *Verify
	// Owner is who fetches. Open gives a revision only to whom it was fetched for.
	Owner string
}

// Store keeps fetched repositories below one folder. It is safe for concurrent
// use by one process.
type Store struct {
	dir     string
	options Options
	disk    func(io.Writer) io.Writer // what writes of packs pass through; tests make it fail

	mu    sync.Mutex
	repos map[string]*repository // by URL
}

// New opens the store in dir and makes the folder if need be.
func New(dir string, options Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for Git repositories: %w", err)
	}
	removeLeftovers(dir, knownHostsFile)
	removeLeftovers(dir, temporary)
	return &Store{dir: dir, options: options, disk: func(w io.Writer) io.Writer { return w }, repos: map[string]*repository{}}, nil
}

// Fetch looks at the server and brings the snapshot that spec means now. Nothing
// is downloaded when the store has its commit; the server is asked in any case,
// since it decides who may see the repository, and others may have fetched it.
// last is the revision that the caller has; changed tells whether this is another.
//
// Errors lead with the URL, without credentials. They are source.AuthError,
// source.NotFoundError and source.InvalidError where it is one of these. No error touches what was fetched
// before: Open and earlier snapshots go on.
func (s *Store) Fetch(ctx context.Context, spec Spec, last string) (snapshot source.Snapshot, changed bool, err error) {
	remote, err := s.remote(ctx, spec)
	if err != nil {
		return source.Snapshot{}, false, classified(ctx, redacted(spec.URL), err)
	}
	defer remote.close()
	snapshot, err = s.bring(ctx, spec, remote)
	if err != nil {
		return source.Snapshot{}, false, classified(ctx, remote.address, err)
	}
	return snapshot, snapshot.Revision != last, nil
}

func (s *Store) bring(ctx context.Context, spec Spec, remote *remote) (source.Snapshot, error) {
	r := s.repository(spec.URL)
	r.busy.Add(1) // until it has an owner
	defer r.busy.Add(-1)
	for again := true; ; again = false {
		gen, at, err := s.fetched(ctx, spec, remote)
		if err != nil {
			return source.Snapshot{}, err
		}
		snapshot, err := s.snapshot(ctx, spec, gen, at, s.fetchedToo)
		if err != nil && gen.broken.Load() && again { // then it is replaced
			continue
		}
		if err == nil {
			err = s.grant(spec, snapshot.Revision)
		}
		return snapshot, err
	}
}

// fetched makes sure of the commit that spec means now.
func (s *Store) fetched(ctx context.Context, spec Spec, remote *remote) (*generation, target, error) {
	refs, err := remote.references(ctx)
	if err != nil {
		return nil, target{}, err
	}
	shown := newAdvertised(remote.address, refs)
	at, err := shown.resolve(spec.Ref)
	if err != nil {
		return nil, at, err
	}
	if at.tag, err = spec.Verify.tagOf(at, spec.Ref, remote.address); err != nil {
		return nil, at, err
	}
	r := s.repository(spec.URL)
	if err := r.lock(ctx); err != nil {
		return nil, at, err
	}
	defer r.unlock()
	gen, err := r.provide(ctx, fetch{remote, shown, at, spec.Ref.Branch})
	return gen, at, err
}

// fetchedToo is fetched for a repository beside the one that was asked for.
func (s *Store) fetchedToo(ctx context.Context, spec Spec) (*generation, target, error) {
	remote, err := s.remote(ctx, spec)
	if err != nil {
		return nil, target{}, classified(ctx, redacted(spec.URL), err)
	}
	defer remote.close()
	r := s.repository(spec.URL)
	r.busy.Add(1) // until it has an owner
	defer r.busy.Add(-1)
	gen, at, err := s.fetched(ctx, spec, remote)
	if err == nil {
		err = s.grant(spec, at.revision())
	}
	if err != nil {
		err = classified(ctx, remote.address, err)
	}
	return gen, at, err
}

// snapshot is the tree at a commit, signed by whom it has to be, with the ignore
// rules applied. All folders are looked at once, so a store that lost some is found
// out here. The error wraps fs.ErrNotExist then.
func (s *Store) snapshot(ctx context.Context, spec Spec, gen *generation, at target, find finder) (source.Snapshot, error) {
	verified, err := gen.verified(spec.Verify, at)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", redacted(spec.URL), err)
	}
	tree, err := s.assemble(ctx, spec, gen, at, find, 0)
	if err != nil {
		return source.Snapshot{}, err
	}
	visible, err := source.Ignored(tree, spec.Ignore)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("revision %s: %w", at.revision(), err)
	}
	digest, err := gen.digests.Of(visible)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("revision %s: %w: %w", at.revision(), fs.ErrNotExist, err)
	}
	return source.Snapshot{Revision: at.revision(), Digest: digest, Tree: visible, Verified: verified}, nil
}

// Open brings the snapshot of a revision that was fetched before for the same owner,
// without the network; spec.Ref and spec.Auth don't matter. Signatures are checked
// anew. The error wraps fs.ErrNotExist when it isn't there any more, or is damaged:
// then it has to be fetched.
func (s *Store) Open(spec Spec, revision string) (source.Snapshot, error) {
	err := s.mayOpen(spec, revision)
	var gen *generation
	var at target
	if err == nil {
		gen, at, err = s.kept(spec, revision)
	}
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", redacted(spec.URL), err)
	}
	snapshot, err := s.snapshot(context.Background(), spec, gen, at, s.keptToo)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", redacted(spec.URL), err)
	}
	return snapshot, nil
}

// kept finds the commit of a revision that was fetched before.
func (s *Store) kept(spec Spec, revision string) (*generation, target, error) {
	label, _, _ := strings.Cut(revision, "@sha1:")
	if label == revision {
		label = ""
	}
	at := target{commit: commitOf(revision), label: label}
	gen, err := s.repository(spec.URL).find(revision)
	if err != nil {
		return nil, at, err
	}
	if spec.Verify.wantsTag() {
		if at.tag = gen.tagAt(at); at.tag.IsZero() {
			return nil, at, fmt.Errorf("the tag of revision %s: %w", revision, fs.ErrNotExist)
		}
	}
	return gen, at, nil
}

// keptToo is kept for the pinned commit of a repository beside the one that was
// asked for.
func (s *Store) keptToo(_ context.Context, spec Spec) (*generation, target, error) {
	return s.kept(spec, "sha1:"+spec.Ref.Commit)
}

// repository is what is kept of a URL; its folder is named by the URL's hash,
// since the URL itself may hold anything.
func (s *Store) repository(address string) *repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.repos[address]
	if !ok {
		sum := sha256.Sum256([]byte(address))
		r = &repository{
			dir:      filepath.Join(s.dir, hex.EncodeToString(sum[:16])),
			disk:     s.disk,
			fetching: make(chan struct{}, 1),
			opened:   map[string]weak.Pointer[generation]{},
			retired:  map[string]bool{},
		}
		s.repos[address] = r
	}
	return r
}
