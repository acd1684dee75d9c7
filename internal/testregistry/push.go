package testregistry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Artifact is something to push.
type Artifact struct {
	Type        string // media type of its configuration; an artifact of Flux when ""
	Layers      []Layer
	Annotations map[string]string
	Subject     *v1.Descriptor // what it refers to
}

// Layer is content of an artifact.
type Layer struct {
	MediaType   string // that of a packed folder of Flux when ""
	Content     []byte
	Annotations map[string]string
}

// The media types of artifacts that the toolkit pushes.
const (
	ConfigType  = "application/vnd.cncf.flux.config.v1+json"
	ContentType = "application/vnd.cncf.flux.content.v1.tar+gzip"
)

// Image makes an artifact without pushing it.
func (a Artifact) Image(tb testing.TB) v1.Image {
	tb.Helper()
	config := a.Type
	if config == "" {
		config = ConfigType
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(config))
	for _, l := range a.Layers {
		mediaType := l.MediaType
		if mediaType == "" {
			mediaType = ContentType
		}
		var err error
		image, err = mutate.Append(image, mutate.Addendum{Layer: static.NewLayer(l.Content, types.MediaType(mediaType)), Annotations: l.Annotations})
		check(tb, err)
	}
	if a.Annotations != nil {
		image = mutate.Annotations(image, a.Annotations).(v1.Image)
	}
	if a.Subject != nil {
		image = mutate.Subject(image, *a.Subject).(v1.Image)
	}
	return image
}

// Push pushes an artifact and returns its descriptor. Without a tag it is to be
// found by its digest, and by what it refers to.
func (r *Registry) Push(tb testing.TB, repository, tag string, a Artifact) v1.Descriptor {
	tb.Helper()
	repo, image := r.Repository(tb, repository), a.Image(tb)
	found, err := image.Digest()
	check(tb, err)
	var at name.Reference = repo.Digest(found.String())
	if tag != "" {
		at = repo.Tag(tag)
	}
	check(tb, remote.Write(at, image, r.Remote()...))
	described, err := remote.Head(at, r.Remote()...)
	check(tb, err)
	return *described
}

// PushIndex pushes an index of artifacts.
func (r *Registry) PushIndex(tb testing.TB, repository, tag string, all ...mutate.IndexAddendum) v1.Descriptor {
	tb.Helper()
	at := r.Repository(tb, repository).Tag(tag)
	check(tb, remote.WriteIndex(at, mutate.AppendManifests(empty.Index, all...), r.Remote()...))
	described, err := remote.Head(at, r.Remote()...)
	check(tb, err)
	return *described
}

// Tag makes a tag lead to something that was pushed.
func (r *Registry) Tag(tb testing.TB, repository, tag string, to v1.Descriptor) {
	tb.Helper()
	repo := r.Repository(tb, repository)
	got, err := remote.Get(repo.Digest(to.Digest.String()), r.Remote()...)
	check(tb, err)
	check(tb, remote.Tag(repo.Tag(tag), got, r.Remote()...))
}

// TarGz packs files: path -> content.
func TarGz(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	packed := tar.NewWriter(zipped)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		check(tb, packed.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: int64(len(files[file])), Format: tar.FormatUSTAR}))
		_, err := packed.Write([]byte(files[file]))
		check(tb, err)
	}
	check(tb, packed.Close())
	check(tb, zipped.Close())
	return out.Bytes()
}

// Meter notes what a registry that speaks plain HTTP is asked.
type Meter struct {
	Address string // where to ask

	mu    sync.Mutex
	asked []string
}

// Metered puts a meter before the registry.
func (r *Registry) Metered(tb testing.TB) *Meter {
	tb.Helper()
	m := &Meter{}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Address})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		m.mu.Lock()
		m.asked = append(m.asked, request.Method+" "+request.URL.Path)
		m.mu.Unlock()
		forward.ServeHTTP(w, request)
	}))
	tb.Cleanup(server.Close)
	m.Address = strings.TrimPrefix(server.URL, "http://")
	return m
}

// Changed puts something before a registry that speaks plain HTTP which changes
// its answers. It returns where to ask.
func (r *Registry) Changed(tb testing.TB, change func(*http.Response) error) (address string) {
	tb.Helper()
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Address})
	forward.ModifyResponse = change
	server := httptest.NewServer(forward)
	tb.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Take returns the requests since the last call, as "GET /v2/".
func (m *Meter) Take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := m.asked
	m.asked = nil
	return asked
}
