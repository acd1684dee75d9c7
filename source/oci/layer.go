package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/archive"
	"github.com/plumb-gitops/plumb/source/store"
)

// image is the manifest of an artifact, downloaded unless the store has it. Where
// the digest names an index, it is that of the artifact which the index stands for.
func (c *Client) image(ctx context.Context, r *repository, digest v1.Hash) (*v1.Manifest, error) {
	return follow(digest, func(digest v1.Hash) ([]byte, error) {
		if content, err := c.storedManifest(r.name.String(), digest); err == nil {
			return content, nil
		}
		content, err := r.manifest(ctx, digest)
		if err != nil {
			return nil, err
		}
		if _, err := parse(content); err != nil {
			return nil, err
		}
		return content, c.store.SaveNote(manifestKey(r.name.String(), digest), content)
	})
}

// storedImage is the same, without the registry.
func (c *Client) storedImage(repo string, digest v1.Hash) (*v1.Manifest, error) {
	return follow(digest, func(digest v1.Hash) ([]byte, error) { return c.storedManifest(repo, digest) })
}

func (c *Client) storedManifest(repo string, digest v1.Hash) ([]byte, error) {
	content, err := c.store.LoadNote(manifestKey(repo, digest))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest.Hex {
		return nil, fmt.Errorf("manifest %s: %w", digest, source.ErrDamaged)
	}
	return content, nil
}

func manifestKey(repo string, digest v1.Hash) string { return key("manifest", repo, digest.String()) }

// deepest is how many indexes may lead to an artifact.
const deepest = 3

func follow(digest v1.Hash, get func(v1.Hash) ([]byte, error)) (*v1.Manifest, error) {
	for range deepest {
		content, err := get(digest)
		if err != nil {
			return nil, err
		}
		p, err := parse(content)
		if err != nil {
			return nil, err
		}
		if p.image != nil {
			return p.image, nil
		}
		child, err := p.child()
		if err != nil {
			return nil, err
		}
		digest = child.Digest
	}
	return nil, fmt.Errorf("more than %d indexes lead to the artifact", deepest)
}

// layer brings the content of a layer into the store. A tree that another
// artifact of the repository brought is used as it is; that of another repository
// is not, since whoever knows a digest need not be allowed to see it.
func (c *Client) layer(ctx context.Context, b *store.Batch, r *repository, d v1.Descriptor, copies bool) error {
	if _, err := c.storedLayer(r.name.String(), d, copies); err == nil {
		return nil
	}
	c.sweep(r.name.String(), d, copies)
	if most := c.options.Limits.ArchiveBytes; most > 0 && d.Size > most {
		return c.options.Limits.ArchiveTooLarge("the layer " + d.Digest.String())
	}
	take := c.extracted
	if copies {
		take = c.copied
	}
	files, err := take(ctx, b, r, d)
	if err != nil {
		return fmt.Errorf("layer %s (%s): %w", d.Digest, d.MediaType, err)
	}
	tree, err := b.Commit(files)
	if err != nil {
		return err
	}
	return c.store.SaveNote(layerKey(r.name.String(), d, copies), []byte(tree))
}

// extracted unpacks a layer as it comes.
func (c *Client) extracted(ctx context.Context, b *store.Batch, r *repository, d v1.Descriptor) ([]store.File, error) {
	body, err := r.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	files, err := archive.Extract(ctx, b, body, c.options.Limits)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, body) // its end is where the digest is checked
	return files, err
}

// copied keeps a layer as it is and, if that is an archive, its files too.
func (c *Client) copied(ctx context.Context, b *store.Batch, r *repository, d v1.Descriptor) ([]store.File, error) {
	if _, err := c.download(ctx, b, r, d); err != nil {
		return nil, err
	}
	packed, err := c.isArchive(d.Digest.Hex)
	if err != nil || !packed {
		return nil, err
	}
	body, err := c.store.Open(d.Digest.Hex)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return archive.Extract(ctx, b, body, c.options.Limits)
}

// download keeps a blob of the registry in the store.
func (c *Client) download(ctx context.Context, b *store.Batch, r *repository, d v1.Descriptor) (store.Blob, error) {
	have := store.Blob{Hash: d.Digest.Hex, Size: d.Size}
	known := key("blob", r.name.String(), d.Digest.String())
	if _, err := c.store.LoadNote(known); err == nil && b.Reuse(d.Digest.Hex) {
		return have, nil
	}
	body, err := r.blob(ctx, d)
	if err != nil {
		return store.Blob{}, err
	}
	defer body.Close()
	if _, err := b.Put(ctx, body, d.Size); err != nil {
		return store.Blob{}, err
	}
	return have, c.store.SaveNote(known, nil)
}

// storedLayer is the content of a layer, as far as the store has it.
func (c *Client) storedLayer(repo string, d v1.Descriptor, copies bool) (source.Snapshot, error) {
	digest, err := c.store.LoadNote(layerKey(repo, d, copies))
	if err != nil {
		return source.Snapshot{}, err
	}
	found := source.Snapshot{Digest: string(digest)}
	if found.Tree, err = c.store.Tree(string(digest)); err != nil || !copies {
		return found, err
	}
	content, err := c.store.Open(d.Digest.Hex)
	if err != nil {
		return source.Snapshot{}, err
	}
	found.Archive, found.Digest = &source.Archive{Hash: d.Digest.Hex, Size: d.Size}, d.Digest.String()
	return found, content.Close()
}

// sweep reads what is left of a layer that was brought before and is not whole any
// more. The store drops what is damaged, so that all of it comes again at once.
func (c *Client) sweep(repo string, d v1.Descriptor, copies bool) {
	digest, err := c.store.LoadNote(layerKey(repo, d, copies))
	if err != nil {
		return
	}
	files, err := c.store.Files(string(digest))
	if err != nil {
		return // then nothing is known of its files
	}
	for _, f := range append(files, store.File{Blob: store.Blob{Hash: d.Digest.Hex}}) {
		if content, err := c.store.Open(f.Hash); err == nil {
			_, _ = io.Copy(io.Discard, content)
			content.Close()
		}
	}
}

func layerKey(repo string, d v1.Descriptor, copies bool) string {
	return key("layer", repo, d.Digest.String(), fmt.Sprint(copies))
}

// checked reads what a descriptor describes, and nothing else.
type checked struct {
	io.ReadCloser
	sum  hash.Hash
	want v1.Descriptor
	left int64
}

func newChecked(body io.ReadCloser, want v1.Descriptor) *checked {
	return &checked{body, sha256.New(), want, want.Size}
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.sum.Write(p[:n])
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("the registry sends more than the %d bytes that the manifest says", c.want.Size)
	}
	if errors.Is(err, io.EOF) {
		if c.left > 0 {
			return n, io.ErrUnexpectedEOF
		}
		if !bytes.Equal(c.sum.Sum(nil), digestBytes(c.want.Digest)) {
			return n, errors.New("the registry sends something else than the digest says")
		}
	}
	return n, err
}

func digestBytes(h v1.Hash) []byte {
	sum, err := hex.DecodeString(h.Hex)
	if err != nil {
		return nil
	}
	return sum
}
