// Package testhelm is Helm repositories for tests: a file server on loopback, with
// TLS and basic authentication where asked for, and charts as Helm packs them.
package testhelm

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of a Server.
type Options struct {
	TLS                bool
	Username, Password string // asked for where set
	NoETag             bool   // answers have no ETag
	Gzip               bool   // sends compressed what the client takes so
	Redirect           string // sends requests for archives to this address instead
}

// Server is a file server.
type Server struct {
	Address string // host and port
	URL     string // with the scheme
	options Options
	ca      []byte

	mu       sync.Mutex
	files    map[string][]byte
	large    map[string]string // files on disk, by path
	requests []Request
}

// Request is a request that a server has answered.
type Request struct {
	Path       string
	Status     int
	Credential string // the password that came along
}

// Start starts a server. It ends with the test.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := &Server{options: o, files: map[string][]byte{}, large: map[string]string{}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if o.TLS {
		server.StartTLS()
		s.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	} else {
		server.Start()
	}
	tb.Cleanup(server.Close)
	s.URL, s.Address = server.URL, server.Listener.Addr().String()
	return s
}

// Transport is what a client needs to trust the server.
func (s *Server) Transport() transport.Options { return transport.Options{CA: s.ca} }

// Put makes the server hold a file.
func (s *Server) Put(path string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files["/"+path] = content
}

// PutLarge makes the server hold a file that is on disk, and not in memory.
func (s *Server) PutLarge(path, file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.large["/"+path] = file
}

// Requests are the requests until now.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Count is how many requests for paths with this end were answered with content.
func (s *Server) Count(end string) (n int) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, end) && r.Status == http.StatusOK {
			n++
		}
	}
	return n
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	note := &noting{ResponseWriter: w, note: func(status int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, Request{r.URL.Path, status, password})
	}}
	s.answer(note, r)
	note.once(http.StatusOK) // an answer without content
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, ok := s.files[r.URL.Path]
	large := s.large[r.URL.Path]
	s.mu.Unlock()
	username, password, _ := r.BasicAuth()
	switch {
	case username != s.options.Username || password != s.options.Password:
		if s.options.Username != "" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
	case s.options.Redirect != "" && strings.HasSuffix(r.URL.Path, ".tgz"):
		http.Redirect(w, r, s.options.Redirect+r.URL.Path, http.StatusFound)
		return
	}
	switch {
	case large != "":
		http.ServeFile(w, r, large)
		return
	case !ok:
		http.NotFound(w, r)
		return
	}
	if !s.options.NoETag {
		w.Header().Set("ETag", `"`+Hash(content)+`"`)
	}
	if s.options.Gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(content)
		_ = z.Close()
		content = packed.Bytes()
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// noting notes the status of an answer before the client gets to see any of it: who
// has read the answer finds it noted.
type noting struct {
	http.ResponseWriter
	note func(status int) // nil when that was done
}

func (n *noting) once(status int) {
	if n.note != nil {
		n.note(status)
		n.note = nil
	}
}

// WriteHeader implements http.ResponseWriter.
func (n *noting) WriteHeader(status int) {
	n.once(status)
	n.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (n *noting) Write(p []byte) (int, error) {
	n.once(http.StatusOK)
	return n.ResponseWriter.Write(p)
}

// Hash is the SHA-256 of content, in hex.
func Hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Chart packs a chart as Helm does. files are by path; Chart.yaml is there by itself
// unless it is among them.
func Chart(tb testing.TB, name, version string, files map[string]string) []byte {
	tb.Helper()
	c := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: name, Version: version}}
	for path, content := range files {
		f := &chart.File{Name: path, Data: []byte(content)}
		switch {
		case path == "Chart.yaml":
			check(tb, yaml.Unmarshal(f.Data, c.Metadata))
		case path == "values.yaml":
			c.Raw = append(c.Raw, f)
		case strings.HasPrefix(path, "templates/"):
			c.Templates = append(c.Templates, f)
		default:
			c.Files = append(c.Files, f)
		}
	}
	file, err := chartutil.Save(c, tb.TempDir())
	check(tb, err)
	content, err := os.ReadFile(file)
	check(tb, err)
	return content
}

// Entry is a version in an index.
type Entry struct {
	Name, Version, URL, Digest string
	Created                    time.Time
}

// Index is an index of entries, as Helm writes it.
func Index(tb testing.TB, entries ...Entry) []byte {
	tb.Helper()
	charts := map[string][]map[string]any{}
	for _, e := range entries {
		one := map[string]any{
			"apiVersion": "v2", "name": e.Name, "version": e.Version, "urls": []string{e.URL},
			"created": e.Created, "description": "Chart # of tests: \"" + e.Name + "\"\nin two lines",
		}
		if e.Digest != "" {
			one["digest"] = e.Digest
		}
		charts[e.Name] = append(charts[e.Name], one)
	}
	content, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "generated": time.Time{}, "entries": charts})
	check(tb, err)
	return content
}

// Publish makes the server hold packed charts, by "name-version.tgz", and an index
// of them.
func (s *Server) Publish(tb testing.TB, charts map[string][]byte) {
	tb.Helper()
	var entries []Entry
	for file, content := range charts {
		s.Put("charts/"+file, content)
		name := strings.TrimSuffix(file, ".tgz")
		i := strings.LastIndex(name, "-")
		entries = append(entries, Entry{Name: name[:i], Version: name[i+1:], URL: "charts/" + file, Digest: Hash(content)})
	}
	s.Put("index.yaml", Index(tb, entries...))
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
