package scenario

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Git is a real Git server over HTTP on loopback, with the repositories of one
// test.
type Git struct {
	URL      string
	root     string
	password string
	down     atomic.Bool
	requests atomic.Int64
	fetches  atomic.Int64

	mu      sync.Mutex
	waiting chan struct{} // closed at the wanted request
	wanted  int64
}

// NewGit starts a server. With a password it lets nobody else in; the user name
// is "git".
func NewGit(tb testing.TB, password string) *Git {
	tb.Helper()
	g := &Git{root: tb.TempDir(), password: password}
	server := httptest.NewServer(g.handler(tb))
	tb.Cleanup(server.Close)
	g.URL = server.URL
	return g
}

// handler is `git http-backend` behind what the tests need to see and to break.
func (g *Git) handler(tb testing.TB) http.Handler {
	tb.Helper()
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		tb.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + g.root, "GIT_HTTP_EXPORT_ALL=1"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.count()
		if strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			g.fetches.Add(1)
		}
		_, password, _ := r.BasicAuth()
		switch {
		case g.down.Load():
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
		case password != g.password:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
		}
	})
}

// SetDown makes the server answer 503, or work again.
func (g *Git) SetDown(down bool) { g.down.Store(down) }

// Fetches is how many downloads there were.
func (g *Git) Fetches() int64 { return g.fetches.Load() }

// Repo is one repository with a working tree.
type Repo struct {
	tb   testing.TB
	URL  string
	work string
}

// Repo makes a repository with one commit of these files, on the branch main.
func (g *Git) Repo(tb testing.TB, name string, files map[string]string) *Repo {
	tb.Helper()
	bare := filepath.Join(g.root, name+".git")
	r := &Repo{tb: tb, URL: g.URL + "/" + name + ".git", work: filepath.Join(tb.TempDir(), name)}
	r.run(g.root, "init", "-q", "--bare", "-b", "main", bare)
	r.run(bare, "config", "receive.denyDeleteCurrent", "ignore")
	r.run(g.root, "init", "-q", "-b", "main", r.work)
	r.Git("remote", "add", "origin", bare)
	r.Commit(files)
	return r
}

// Git runs git in the working tree.
func (r *Repo) Git(args ...string) string {
	r.tb.Helper()
	return r.run(r.work, args...)
}

func (r *Repo) run(dir string, args ...string) string {
	r.tb.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=plumb", "GIT_AUTHOR_EMAIL=plumb@example.com", "GIT_COMMITTER_NAME=plumb", "GIT_COMMITTER_EMAIL=plumb@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Write changes files of the working tree; an empty content removes one.
func (r *Repo) Write(files map[string]string) {
	r.tb.Helper()
	for name, content := range files {
		path := filepath.Join(r.work, name)
		var err error
		if content == "" {
			err = os.Remove(path)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			r.tb.Fatal(err)
		}
	}
}

// Commit changes files, commits and pushes, and returns the revision as a source
// on the branch main shows it.
func (r *Repo) Commit(files map[string]string) string {
	r.tb.Helper()
	r.Write(files)
	r.Git("add", "-A")
	r.Git("commit", "-q", "--allow-empty", "-m", "change")
	r.Git("push", "-q", "-f", "origin", "main")
	return "main@sha1:" + r.Git("rev-parse", "HEAD")
}

// Copy makes the working tree what a folder holds, and commits.
func (r *Repo) Copy(dir string) string {
	r.tb.Helper()
	files := map[string]string{}
	for name := range strings.FieldsSeq(r.Git("ls-files")) {
		files[name] = ""
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[name] = string(raw)
		return err
	})
	if err != nil {
		r.tb.Fatal(fmt.Errorf("copy %s: %w", dir, err))
	}
	return r.Commit(files)
}

// AwaitRequests waits for so many further requests.
func (g *Git) AwaitRequests(tb testing.TB, n int) {
	tb.Helper()
	done := make(chan struct{})
	g.mu.Lock()
	g.waiting, g.wanted = done, g.requests.Load()+int64(n)
	g.mu.Unlock()
	select {
	case <-done:
	case <-time.After(patience):
		tb.Fatalf("no %d requests came to the Git server", n)
	}
}

// count counts a request and tells who waits for it.
func (g *Git) count() {
	n := g.requests.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting != nil && n >= g.wanted {
		close(g.waiting)
		g.waiting = nil
	}
}
