package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	gitconfig "github.com/go-git/go-git/v5/config"

	"github.com/plumb-gitops/plumb/source"
)

// mostNested bounds how deep submodules may have submodules.
const mostNested = 8

// mostModules bounds .gitmodules, in bytes and in modules.
const (
	mostModuleBytes = 1 << 20
	mostModules     = 256
)

// submodule is a folder of a tree that is a commit of another repository.
type submodule struct {
	path, url, commit string
}

// submodulesOf lists the submodules of a tree, by path. A module without a commit in
// the tree is none.
func submodulesOf(t tree, parent string) ([]submodule, error) {
	content, err := t.Read(".gitmodules")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	modules, err := parseModules(content)
	if err != nil {
		return nil, err
	}
	var out []submodule
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		n, err := t.node(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !n.submodule:
			continue
		case err != nil:
			return nil, err
		}
		at, err := moduleURL(parent, modules[name])
		if err != nil {
			return nil, fmt.Errorf("submodule %s: %w", name, err)
		}
		out = append(out, submodule{name, at, n.Hash})
	}
	return out, nil
}

// parseModules reads a .gitmodules file: path -> URL (gitmodules(5)).
func parseModules(content []byte) (map[string]string, error) {
	invalid := func(text string) error { return &source.InvalidError{Err: errors.New(".gitmodules " + text)} }
	if len(content) > mostModuleBytes {
		return nil, invalid("is larger than 1 MiB")
	}
	parsed := gitconfig.NewModules()
	if err := parsed.Unmarshal(content); err != nil {
		return nil, invalid("cannot be read")
	}
	if len(parsed.Submodules) > mostModules {
		return nil, invalid(fmt.Sprintf("names more than %d submodules", mostModules))
	}
	out := map[string]string{}
	for _, m := range parsed.Submodules {
		if m.Path == "." || !fs.ValidPath(m.Path) {
			return nil, invalid(fmt.Sprintf("has the path %q, which is none inside of the repository", m.Path))
		}
		out[m.Path] = m.URL
	}
	return out, nil
}

// moduleURL is the address of a submodule: relative ones (./ and ../) start at the
// parent's, and host:path is short for ssh (git-submodule(1), git-clone(1)).
func moduleURL(parent, address string) (string, error) {
	if strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../") {
		u, err := url.Parse(parent)
		if err != nil {
			return "", unusable(redacted(parent), "its submodules cannot be found relative to it")
		}
		u.Path, u.RawPath = path.Join(u.Path, address), ""
		return u.String(), nil
	}
	if host, rest, ok := strings.Cut(address, ":"); ok && !strings.Contains(address, "://") && !strings.Contains(host, "/") {
		return "ssh://" + host + "/" + strings.TrimPrefix(rest, "/"), nil
	}
	return address, nil
}

// submoduleSpec is how to get a submodule: with the parent's way in for the same
// server only.
func submoduleSpec(parent Spec, m submodule) Spec {
	s := Spec{URL: m.url, Ref: Ref{Commit: m.commit}, Submodules: true}
	s.Transport.Proxy = parent.Transport.Proxy
	if parent.Owner != "" {
		s.Owner = parent.Owner + submoduleOwner + m.path
	}
	if sameServer(parent.URL, m.url) {
		s.Auth, s.Login, s.Transport = parent.Auth, parent.Login, parent.Transport
		if u, err := url.Parse(parent.URL); err == nil && u.User != nil {
			s.URL = withUser(m.url, u.User)
		}
	}
	return s
}

func sameServer(a, b string) bool {
	one, err := url.Parse(a)
	if err != nil {
		return false
	}
	two, err := url.Parse(b)
	return err == nil && one.Scheme == two.Scheme && one.Host == two.Host
}

func withUser(address string, user *url.Userinfo) string {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return address
	}
	u.User = user
	return u.String()
}

// finder gives the generation that has the commit of a Spec: it fetches, or only
// looks at what was fetched.
type finder func(ctx context.Context, spec Spec) (*generation, target, error)

// assemble is the tree of a commit with what spec wants of it: its submodules in
// their places, and some folders only.
func (s *Store) assemble(ctx context.Context, spec Spec, gen *generation, at target, find finder, nested int) (source.Tree, error) {
	root, err := gen.rootOf(at.commit)
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w: %w", at.revision(), fs.ErrNotExist, err)
	}
	base := tree{gen, root}
	out := source.Tree(base)
	if spec.Submodules {
		mounts, err := s.submodules(ctx, spec, base, find, nested)
		if err != nil {
			return nil, err
		}
		if out, err = source.Mounted(base, mounts); err != nil {
			return nil, err
		}
	}
	if len(spec.Sparse) == 0 {
		return out, nil
	}
	return sparse(out, spec)
}

// submodules are the trees of the submodules of a tree, by path.
func (s *Store) submodules(ctx context.Context, spec Spec, base tree, find finder, nested int) (map[string]source.Tree, error) {
	all, err := submodulesOf(base, spec.URL)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if nested >= mostNested {
		return nil, &source.InvalidError{Err: fmt.Errorf("%s: submodules are nested deeper than %d", redacted(spec.URL), mostNested)}
	}
	mounts := map[string]source.Tree{}
	for _, m := range all {
		inner := submoduleSpec(spec, m)
		gen, at, err := find(ctx, inner)
		if err != nil {
			return nil, fmt.Errorf("submodule %s: %w", m.path, err)
		}
		if mounts[m.path], err = s.assemble(ctx, inner, gen, at, find, nested+1); err != nil {
			return nil, fmt.Errorf("submodule %s: %w", m.path, err)
		}
	}
	return mounts, nil
}

// sparse is a tree with the folders only that were asked for.
func sparse(t source.Tree, spec Spec) (source.Tree, error) {
	folders := make([]string, len(spec.Sparse))
	for i, name := range spec.Sparse {
		folders[i] = path.Clean(strings.Trim(name, "/"))
		if !fs.ValidPath(folders[i]) {
			return nil, unusable(redacted(spec.URL), fmt.Sprintf("spec.sparseCheckout: %q is no folder inside of the repository", name))
		}
	}
	out, err := source.Only(t, folders)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(redacted(spec.URL), fmt.Sprintf("spec.sparseCheckout: %v", err))
	}
	return out, err
}
