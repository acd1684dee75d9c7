package testgit

import (
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Handler serves the repositories below a folder, for reading, by the smart HTTP
// protocol. It fails when git is not installed.
func Handler(root string) (http.Handler, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("the Git server needs the program git (Debian package git): %w", err)
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	return &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env:  append(environment(root), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1"),
		Dir:  root,

		Stderr: io.Discard, // what a client did wrong, it is told
	}, nil
}

// BasicAuth lets only one user in.
func BasicAuth(next http.Handler, username, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(u+"\x00"+p), []byte(username+"\x00"+password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Traffic is what a server was asked and gave.
type Traffic struct {
	Requests  int   // of all kinds
	Downloads int   // requests for objects, beyond the list of references
	Bytes     int64 // of all answers, without headers
}

// Meter counts the traffic of a server.
type Meter struct {
	mu    sync.Mutex
	total Traffic
}

// Take returns the traffic since the last call.
func (m *Meter) Take() Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.total
	m.total = Traffic{}
	return t
}

// Wrap counts what a handler does.
func (m *Meter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		download := 0
		if strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			download = 1
		}
		m.add(Traffic{Requests: 1, Downloads: download})
		next.ServeHTTP(meteredWriter{w, m}, r)
	})
}

func (m *Meter) add(t Traffic) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total.Requests += t.Requests
	m.total.Downloads += t.Downloads
	m.total.Bytes += t.Bytes
}

type meteredWriter struct {
	http.ResponseWriter
	meter *Meter
}

// Write implements io.Writer. It counts before it writes: a client that has read all
// may look at the count before this goes on.
func (w meteredWriter) Write(p []byte) (int, error) {
	w.meter.add(Traffic{Bytes: int64(len(p))})
	return w.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (w meteredWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
