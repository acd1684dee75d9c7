package git

import (
	"context"
	"errors"
	"fmt"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// slack is what a store may grow by, beyond its size when it was fresh, before a
// fresh one is made: a rewritten history would otherwise come whole.
const slack = 16 << 20

// download is one commit to bring from one server.
type download struct {
	url  string
	auth transport.AuthMethod
	target
	ref Ref
}

// provide returns a generation that has the commit: the current one as it is, or
// with the difference added, or a fresh one.
func (r *repository) provide(ctx context.Context, d download) (*generation, error) {
	gen := r.open()
	if gen != nil && gen.has(d.commit) {
		return gen, nil
	}
	if gen != nil && d.name != "" && r.roomy(gen) {
		err := d.into(ctx, gen, 0, gen.fresh+slack)
		gen.refresh()
		if err == nil && gen.has(d.commit) {
			return gen, nil
		}
		if err != nil && !replaceable(err) {
			return nil, classified(ctx, d.url, err)
		}
	}
	return r.replace(func(fresh *generation) error { return d.fill(ctx, fresh) })
}

// roomy tells whether a store may still grow.
func (r *repository) roomy(gen *generation) bool {
	size, err := sizeOf(gen.dir)
	return err == nil && size < 3*gen.fresh+2*slack
}

// replaceable are the failures that a fresh store does not have: it would have
// grown too much, or it is damaged. Anything else is the server's or the disk's.
func replaceable(err error) bool {
	return errors.Is(err, errTooMuch) || errors.Is(err, plumbing.ErrObjectNotFound) || errors.Is(err, plumbing.ErrReferenceNotFound)
}

// fill brings the commit into an empty store: alone if the server lets us, else
// with its history.
func (d download) fill(ctx context.Context, gen *generation) error {
	for _, depth := range []int{1, 0} {
		err := d.into(ctx, gen, depth, unbounded)
		gen.refresh()
		if err == nil && gen.has(d.commit) {
			return nil
		}
		if depth == 0 || ctx.Err() != nil {
			return d.missing(ctx, err)
		}
		if err != nil && !errors.Is(err, transport.ErrEmptyUploadPackRequest) && d.name != "" && !refusesShallow(err) {
			return classified(ctx, d.url, err)
		}
	}
	return nil
}

func refusesShallow(err error) bool {
	return err.Error() == "server does not support shallow clients" || errors.Is(err, gogit.ErrExactSHA1NotSupported)
}

func (d download) missing(ctx context.Context, err error) error {
	if err != nil && !errors.Is(err, gogit.NoErrAlreadyUpToDate) {
		return classified(ctx, d.url, err)
	}
	return &RefNotFound{redacted(d.url), fmt.Sprintf("commit %s not found", d.commit)}
}

// into fetches into one store. With depth 1 the commit comes alone; with 0 comes
// what the store lacks.
func (d download) into(ctx context.Context, gen *generation, depth int, most int64) error {
	repo, err := gogit.Open(storageOf(gen.dir, most), nil)
	if err != nil {
		return err
	}
	remote := gogit.NewRemote(repo.Storer, &config.RemoteConfig{Name: "origin", URLs: []string{d.url}})
	err = remote.FetchContext(ctx, &gogit.FetchOptions{
		RemoteName: "origin", RefSpecs: d.refSpecs(depth), Depth: depth, Auth: d.auth, Tags: gogit.NoTags, Force: true,
	})
	if errors.Is(err, gogit.NoErrAlreadyUpToDate) {
		return nil
	}
	return err
}

// refSpecs names what to fetch. A commit that no reference shows is asked for by
// its hash first; many servers refuse that, then its branch comes, or all.
func (d download) refSpecs(depth int) []config.RefSpec {
	switch {
	case d.name != "":
		return []config.RefSpec{config.RefSpec("+" + d.name.String() + ":" + d.name.String())}
	case depth == 1:
		return []config.RefSpec{config.RefSpec(d.commit.String() + ":refs/plumb/" + d.commit.String())}
	case d.ref.Branch != "":
		name := plumbing.NewBranchReferenceName(d.ref.Branch).String()
		return []config.RefSpec{config.RefSpec("+" + name + ":" + name)}
	default:
		return []config.RefSpec{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}
	}
}
