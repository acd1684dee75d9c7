package helmrepo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/transport"
)

// ChartVersion is a version of a chart in a repository.
type ChartVersion struct {
	Name    string
	Version string
	Digest  string   // SHA-256 of the archive, hex, where the index has it
	URLs    []string // absolute; of a chart in a registry oci://host/repository
	// Index is the hash of the index that says so; "" in a registry.
	Index string

	tag string // in a registry
}

// Resolve finds the version of a chart that a range means, in the index that was
// fetched last with the same spec; where there is none, it is fetched first. In a
// registry an exact version is not looked for: Download does that.
//
// The errors are those of Fetch: NotFoundError when there is no such chart or
// version, InvalidError when the range is none.
func (c *Client) Resolve(ctx context.Context, s Spec, name, versions string) (ChartVersion, error) {
	resolve := c.resolve
	if s.inRegistry() {
		resolve = c.resolveTag
	}
	found, err := resolve(ctx, s, name, versions)
	if err != nil {
		return ChartVersion{}, transport.Classified(ctx, transport.Redacted(s.URL), err)
	}
	return found, nil
}

func (c *Client) resolve(ctx context.Context, s Spec, name, versions string) (ChartVersion, error) {
	r, err := c.repository(s)
	if err != nil {
		return ChartVersion{}, err
	}
	r.ask(name)
	done, err := r.wait(ctx)
	if err != nil {
		return ChartVersion{}, err
	}
	defer done()
	all, err := c.versions(ctx, r, name)
	if err != nil {
		return ChartVersion{}, err
	}
	if len(all) == 0 {
		return ChartVersion{}, &source.NotFoundError{Err: fmt.Errorf("there is no chart %q in the index", name)}
	}
	v, err := choose(all, versions)
	if err != nil {
		return ChartVersion{}, fmt.Errorf("chart %q: %w", name, err)
	}
	return r.absolute(name, v)
}

// versions are the versions of a chart in the last index; r's turn is taken.
func (c *Client) versions(ctx context.Context, r *repository, name string) ([]version, error) {
	if c.recall(r); r.state.Hash == "" {
		if err := c.refresh(ctx, r); err != nil {
			return nil, err
		}
	}
	if all, ok := r.charts[name]; ok {
		return all, nil
	}
	missing := r.wanted()
	missing[name] = true
	maps.DeleteFunc(missing, func(name string, _ bool) bool { _, ok := r.charts[name]; return ok })
	found, err := c.read(r.state.Hash, missing)
	if source.IsLost(err) {
		r.forget()
		if err = c.refresh(ctx, r); err == nil {
			found, err = c.read(r.state.Hash, missing)
		}
	}
	if err != nil {
		return nil, err
	}
	maps.Copy(r.charts, found)
	return found[name], nil
}

func (r *repository) absolute(name string, v version) (ChartVersion, error) {
	found := ChartVersion{Name: name, Version: v.Version, Digest: strings.TrimPrefix(v.Digest, "sha256:"), Index: r.state.Hash}
	for _, address := range v.URLs {
		to, err := resolve(r.base, address)
		if err != nil {
			return ChartVersion{}, fmt.Errorf("chart %q version %s: %w", name, v.Version, err)
		}
		found.URLs = append(found.URLs, to.String())
	}
	if len(found.URLs) == 0 {
		return ChartVersion{}, &source.NotFoundError{Err: fmt.Errorf("chart %q version %s has no urls in the index", name, v.Version)}
	}
	return found, nil
}

// registry is the spec of a chart's repository in a registry.
func (s Spec) registry(name string) oci.Spec {
	o := oci.Spec{
		URL: strings.TrimSuffix(s.URL, "/") + "/" + name, Insecure: s.Insecure, Transport: s.Transport,
		Auth: s.Auth, Login: s.Login, Verify: s.Verify,
	}
	if s.Username != "" {
		o.Auth.Username, o.Auth.Password = s.Username, s.Password
	}
	return o
}

// resolveTag is resolve for a registry. A tag cannot hold the "+" of a version:
// Helm writes "_" instead.
func (c *Client) resolveTag(ctx context.Context, s Spec, name, versions string) (ChartVersion, error) {
	at := s.registry(name)
	found := ChartVersion{Name: name, URLs: []string{at.URL}}
	if _, err := semver.StrictNewVersion(versions); err == nil {
		found.Version, found.tag = versions, strings.ReplaceAll(versions, "+", "_")
		return found, nil
	}
	tags, err := c.options.OCI.Tags(ctx, at)
	if err != nil {
		return ChartVersion{}, err
	}
	slices.Sort(tags) // the registry's order does not matter
	all := make([]version, len(tags))
	for i, tag := range tags {
		all[i].Version = strings.ReplaceAll(tag, "_", "+")
	}
	v, err := choose(all, versions)
	if err != nil {
		return ChartVersion{}, fmt.Errorf("chart %q: %w", name, err)
	}
	found.Version, found.tag = v.Version, strings.ReplaceAll(v.Version, "+", "_")
	return found, nil
}
