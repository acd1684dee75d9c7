package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/archive"
	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// External brings artifacts that others made: the archives that the status of an
// ExternalArtifact names.
type External struct {
	store  *store.Store
	limits source.Limits
	client *http.Client
}

// Fetch brings an artifact. What has its digest already is not downloaded again.
// Errors lead with the address; they are source.AuthError, NotFoundError,
// InvalidError and LimitError where it is one of these.
func (x *External) Fetch(ctx context.Context, a meta.Artifact) (source.Snapshot, error) {
	if found, err := x.Open(a); err == nil {
		return found, nil
	}
	hash, ok := strings.CutPrefix(a.Digest, "sha256:")
	if !ok {
		return source.Snapshot{}, &source.InvalidError{Err: fmt.Errorf("%s: status.artifact.digest %q is no SHA-256", transport.Redacted(a.URL), a.Digest)}
	}
	if err := x.bring(ctx, a, hash); err != nil {
		return source.Snapshot{}, transport.Classified(ctx, transport.Redacted(a.URL), err)
	}
	return x.Open(a)
}

// bring downloads and unpacks an archive.
func (x *External) bring(ctx context.Context, a meta.Artifact, hash string) error {
	b := x.store.Begin()
	defer b.Close()
	packed, err := x.download(ctx, b, a.URL)
	if err != nil {
		return err
	}
	if packed.Hash != hash {
		return fmt.Errorf("the archive has the digest sha256:%s, in the status it is %s", packed.Hash, a.Digest)
	}
	content, err := x.store.Open(packed.Hash)
	if err != nil {
		return err
	}
	defer content.Close()
	files, err := archive.Extract(ctx, b, content, x.limits)
	if errors.Is(err, io.ErrUnexpectedEOF) { // it came as a whole, its digest says; no connection broke off
		return errors.New("the archive ends too early, or is no tar.gz: store it again")
	}
	if err != nil {
		return err
	}
	tree, err := b.Commit(files)
	if err != nil {
		return err
	}
	return x.store.SaveNote(externalKey(a.Digest), fmt.Appendf(nil, "%s %d", tree, packed.Size))
}

func (x *External) download(ctx context.Context, b *store.Batch, address string) (store.Blob, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return store.Blob{}, &source.InvalidError{Err: fmt.Errorf("status.artifact.url cannot be parsed")}
	}
	response, err := x.client.Do(request)
	if err != nil {
		return store.Blob{}, transport.Classified(ctx, transport.Redacted(address), err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return store.Blob{}, transport.Refused(address, response.StatusCode)
	}
	blob, err := b.Put(ctx, response.Body, x.limits.ArchiveBytes)
	if err == store.ErrTooLarge { //nolint:errorlint // Put wraps nothing around it
		err = x.limits.ArchiveTooLarge("the archive")
	}
	return blob, err
}

// Open brings an artifact that was fetched before, without the network. The error
// wraps fs.ErrNotExist when it is not there any more.
func (x *External) Open(a meta.Artifact) (source.Snapshot, error) {
	note, err := x.store.LoadNote(externalKey(a.Digest))
	if err != nil {
		return source.Snapshot{}, err
	}
	var tree string
	var size int64
	if _, err := fmt.Sscan(string(note), &tree, &size); err != nil {
		return source.Snapshot{}, fs.ErrNotExist
	}
	found := source.Snapshot{Revision: a.Revision, Digest: a.Digest, Metadata: a.Metadata}
	found.Tree, err = x.store.Tree(tree)
	if err != nil {
		return source.Snapshot{}, err
	}
	found.Archive = &source.Archive{Hash: strings.TrimPrefix(a.Digest, "sha256:"), Size: size}
	packed, err := x.store.Open(found.Archive.Hash)
	if err != nil {
		return source.Snapshot{}, err
	}
	return found, packed.Close()
}

func externalKey(digest string) string { return "external\x00" + digest }
