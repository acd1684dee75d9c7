package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/plumb-gitops/plumb/source"
)

// bounded reads no more than it may and stops with its context.
type bounded struct {
	ctx  context.Context
	r    io.Reader
	left int64 // bytes; negative for any number
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if b.left < 0 {
		return n, err
	}
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// disk marks the errors of writing, which are not those of the server.
type disk struct{ f *os.File }

func (d *disk) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	if err != nil {
		err = full(err)
	}
	return n, err
}

// checked reads a blob and compares it with its name at the end.
type checked struct {
	file  *os.File
	sum   hash.Hash
	hash  string
	store *Store
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.sum.Sum(nil)) != c.hash {
		_ = os.Remove(c.store.blob(c.hash)) // so that the next fetch brings it again
		return n, fmt.Errorf("blob %.12s: %w", c.hash, source.ErrDamaged)
	}
	return n, err
}

func (c *checked) Close() error { return c.file.Close() }
