package testgit

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// Repo is a repository of a test.
type Repo struct {
	*Repository
	tb testing.TB
}

// New makes an empty repository that goes with the test.
func New(tb testing.TB) *Repo {
	tb.Helper()
	r, err := Create(filepath.Join(tb.TempDir(), "repo.git"))
	return &Repo{must(tb, r, err), tb}
}

func must[T any](tb testing.TB, value T, err error) T {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// Commit adds a commit to main and returns its hash.
func (r *Repo) Commit(changes ...Change) string {
	r.tb.Helper()
	return r.CommitTo("main", changes)
}

// CommitTo adds a commit to a branch, with further parents for a merge.
func (r *Repo) CommitTo(branch string, changes []Change, parents ...string) string {
	r.tb.Helper()
	hash, err := r.Repository.Commit(branch, changes, parents...)
	return must(r.tb, hash, err)
}

// Rewrite replaces a branch by one commit that has no history.
func (r *Repo) Rewrite(branch string, changes ...Change) string {
	r.tb.Helper()
	hash, err := r.Repository.Rewrite(branch, changes)
	return must(r.tb, hash, err)
}

// Tag makes a plain tag; TagWithMessage one that is an object of its own.
func (r *Repo) Tag(name, commit string) { r.TagWithMessage(name, commit, "") }

// TagWithMessage makes an annotated tag.
func (r *Repo) TagWithMessage(name, commit, message string) {
	r.tb.Helper()
	must(r.tb, 0, r.Repository.Tag(name, commit, message))
}

// SetReference makes a reference, given with its full name, point to a commit.
func (r *Repo) SetReference(name, commit string) {
	r.tb.Helper()
	must(r.tb, 0, r.Repository.SetReference(name, commit))
}

// DeleteBranch removes a branch.
func (r *Repo) DeleteBranch(name string) {
	r.tb.Helper()
	must(r.tb, 0, r.DeleteReference("refs/heads/"+name))
}

// Config changes what the server allows.
func (r *Repo) Config(key, value string) {
	r.tb.Helper()
	must(r.tb, 0, r.Repository.Config(key, value))
}

// Run runs git in the repository.
func (r *Repo) Run(args ...string) string {
	r.tb.Helper()
	out, err := r.Git(nil, args...)
	return must(r.tb, out, err)
}

// Options of an HTTP server.
type Options struct {
	Username, Password string                               // who is let in; everybody when both are empty
	Wrap               func(next http.Handler) http.Handler // stands before all else, to make trouble
}

// HTTP serves the repository until the test ends. It returns its URL and what
// counts the traffic.
func (r *Repo) HTTP(o Options) (url string, meter *Meter) {
	r.tb.Helper()
	handler, err := Handler(filepath.Dir(r.dir))
	must(r.tb, 0, err)
	meter = &Meter{}
	if o.Username != "" || o.Password != "" {
		handler = BasicAuth(handler, o.Username, o.Password)
	}
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	server := httptest.NewServer(meter.Wrap(handler))
	r.tb.Cleanup(server.Close)
	return server.URL + "/" + r.name(), meter
}

// SSH serves the repository until the test ends. It returns its URL, the private
// key that is let in, and the server's line of known_hosts.
func (r *Repo) SSH() (url string, identity, knownHosts []byte) {
	r.tb.Helper()
	server, err := StartSSH(r.tb.Context(), r.tb.TempDir())
	must(r.tb, 0, err)
	r.tb.Cleanup(server.Stop)
	return server.URL(r.dir), server.Identity, server.KnownHosts
}
