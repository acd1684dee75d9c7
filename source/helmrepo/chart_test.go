package helmrepo_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
)

// download resolves and downloads into the batch of a store.
func download(t testing.TB, c *helmrepo.Client, in *store.Store, s helmrepo.Spec, name, versions string) (helmrepo.Chart, error) {
	t.Helper()
	v, err := c.Resolve(t.Context(), s, name, versions)
	if err != nil {
		return helmrepo.Chart{}, err
	}
	b := in.Begin()
	defer b.Close()
	return c.Download(t.Context(), b, s, v)
}

// shared is a client and its store.
func shared(t testing.TB, dir string, limits source.Limits) (*helmrepo.Client, *store.Store) {
	t.Helper()
	return newClient(t, dir, limits), newStore(t, dir)
}

func TestAChartIsDownloadedOnce(t *testing.T) {
	t.Parallel()
	archive := testhelm.Chart(t, "app", "1.0.0", map[string]string{"values.yaml": "a: 1\n"})
	for name, digest := range map[string]string{"digest in the index": testhelm.Hash(archive), "no digest": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testhelm.Start(t, testhelm.Options{})
			server.Put("app.tgz", archive)
			server.Put("index.yaml", testhelm.Index(t, testhelm.Entry{Name: "app", Version: "1.0.0", URL: "app.tgz", Digest: digest}))
			dir, s := t.TempDir(), helmrepo.Spec{URL: server.URL}
			c, in := shared(t, dir, source.DefaultLimits())
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					got, err := download(t, c, in, s, "app", "*")
					if err != nil || got.Hash != testhelm.Hash(archive) || got.Size != int64(len(archive)) {
						t.Error(got, err)
					}
				})
			}
			all.Wait()
			c, in = shared(t, dir, source.DefaultLimits()) // after a restart
			if _, err := download(t, c, in, s, "app", "*"); err != nil {
				t.Error(err)
			}
			if n := server.Count("app.tgz"); n != 1 {
				t.Errorf("downloaded %d times", n)
			}
			corrupt(t, dir)
			if _, err := download(t, c, in, s, "app", "*"); err != nil {
				t.Error(err)
			}
			if n := server.Count("app.tgz"); n != 2 {
				t.Errorf("with a damaged store, downloaded %d times in all", n)
			}
			if content, err := in.Read(testhelm.Hash(archive)); err != nil || !bytes.Equal(content, archive) {
				t.Errorf("the store holds another: %v", err)
			}
		})
	}
}

func TestWhatOneIdentitySeesIsNothingForAnother(t *testing.T) {
	t.Parallel()
	archive := testhelm.Chart(t, "app", "1.0.0", nil)
	private := testhelm.Start(t, testhelm.Options{Username: "reader", Password: "right"})
	private.Publish(t, map[string][]byte{"app-1.0.0.tgz": archive})
	c, in := shared(t, t.TempDir(), source.DefaultLimits())
	if _, err := download(t, c, in, helmrepo.Spec{URL: private.URL, Username: "reader", Password: "right"}, "app", "*"); err != nil {
		t.Fatal(err)
	}
	// Someone else names its digest in an index of their own.
	other := testhelm.Start(t, testhelm.Options{})
	other.Put("index.yaml", testhelm.Index(t, testhelm.Entry{Name: "app", Version: "1.0.0", URL: private.URL + "/charts/app-1.0.0.tgz", Digest: testhelm.Hash(archive)}))
	if _, err := download(t, c, in, helmrepo.Spec{URL: other.URL}, "app", "*"); !errors.As(err, new(*source.AuthError)) {
		t.Errorf("got it: %v", err)
	}
}

func TestArchivesThatAreRefused(t *testing.T) {
	t.Parallel()
	server := testhelm.Start(t, testhelm.Options{})
	server.Put("app.tgz", []byte("something else"))
	server.Put("index.yaml", testhelm.Index(t,
		testhelm.Entry{Name: "other", Version: "1.0.0", URL: "app.tgz", Digest: testhelm.Hash(nil)},
		testhelm.Entry{Name: "large", Version: "1.0.0", URL: "app.tgz"},
		testhelm.Entry{Name: "gone", Version: "1.0.0", URL: "gone.tgz?token=secret"}))
	limits := source.DefaultLimits()
	limits.ArchiveBytes = 14
	s := helmrepo.Spec{URL: server.URL}
	c, in := shared(t, t.TempDir(), limits)
	if _, err := download(t, c, in, s, "other", "*"); err == nil || !strings.Contains(err.Error(), "in the index it is "+testhelm.Hash(nil)) {
		t.Errorf("another digest: %v", err)
	}
	if _, err := download(t, c, in, s, "gone", "*"); !errors.As(err, new(*source.NotFoundError)) || strings.Contains(err.Error(), "secret") {
		t.Errorf("gone: %v", err)
	}
	limits.ArchiveBytes = 13
	c, in = shared(t, t.TempDir(), limits)
	if _, err := download(t, c, in, s, "large", "*"); !errors.As(err, new(*source.LimitError)) {
		t.Errorf("large: %v", err)
	}
}

// signer is a key that signs provenance.
type signer struct {
	entity  *openpgp.Entity
	keyring []byte
}

func newSigner(t testing.TB) signer {
	t.Helper()
	entity, err := openpgp.NewEntity("charts", "", "charts@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var keyring bytes.Buffer
	if err := entity.Serialize(&keyring); err != nil {
		t.Fatal(err)
	}
	return signer{entity, keyring.Bytes()}
}

// provenance is a file as `helm package --sign` writes it.
func (s signer) provenance(t testing.TB, file string, archive []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(archive)
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, s.entity.PrivateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write([]byte("apiVersion: v2\nname: app\nversion: 1.0.0\n\n...\nfiles:\n  " + file + ": sha256:" + hex.EncodeToString(sum[:]) + "\n"))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	archive := testhelm.Chart(t, "app", "1.0.0", nil)
	trusted, stranger := newSigner(t), newSigner(t)
	const file = "app-1.0.0.tgz"
	good := trusted.provenance(t, file, archive)
	registry := testregistry.Start(t, testregistry.Options{})
	for name, c := range map[string]struct {
		prov []byte
		want string
	}{
		"signed":                {good, ""},
		"not there":             {nil, "provenance"},
		"signed by a stranger":  {stranger.provenance(t, file, archive), "not signed by a key of the keyring"},
		"of another archive":    {trusted.provenance(t, file, nil), "is for another archive"},
		"of another file":       {trusted.provenance(t, "b.tgz", archive), "is for another archive"},
		"changed after signing": {bytes.Replace(good, []byte("name: app"), []byte("name: bad"), 1), "not signed by a key of the keyring"},
		"no signed text":        {[]byte("files: {}"), "is no signed text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testhelm.Start(t, testhelm.Options{})
			server.Publish(t, map[string][]byte{file: archive})
			layers := []testregistry.Layer{{MediaType: chartType, Content: archive}}
			if c.prov != nil {
				server.Put("charts/"+file+".prov", c.prov)
				layers = append(layers, testregistry.Layer{MediaType: "application/vnd.cncf.helm.chart.provenance.v1.prov", Content: c.prov})
			}
			folder := hex.EncodeToString([]byte(name))
			registry.Push(t, folder+"/app", "1.0.0", testregistry.Artifact{Type: configType, Layers: layers})
			client, in := shared(t, t.TempDir(), source.DefaultLimits())
			for _, s := range []helmrepo.Spec{
				{URL: server.URL, Keyring: [][]byte{newSigner(t).keyring, trusted.keyring}},
				{URL: "oci://" + registry.Address + "/" + folder, Insecure: true, Keyring: [][]byte{newSigner(t).keyring, trusted.keyring}},
			} {
				got, err := download(t, client, in, s, "app", "*")
				if c.want == "" && (err != nil || !strings.HasPrefix(got.Verified, "verified provenance")) {
					t.Errorf("%s: %q, %v", s.URL, got.Verified, err)
				}
				if c.want != "" && (!errors.As(err, new(*source.VerifyError)) || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%s: %v", s.URL, err)
				}
			}
		})
	}
}

// The media types of a chart.
const (
	configType = "application/vnd.cncf.helm.config.v1+json"
	chartType  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

func TestChartsInARegistry(t *testing.T) {
	t.Parallel()
	registry := testregistry.Start(t, testregistry.Options{TLS: true, Username: "reader", Password: "right"})
	archives := map[string][]byte{}
	for _, version := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1", "1.1.0+build"} {
		archives[version] = testhelm.Chart(t, "app", version, nil)
		registry.Push(t, "charts/app", strings.ReplaceAll(version, "+", "_"), testregistry.Artifact{
			Type: configType, Layers: []testregistry.Layer{{MediaType: chartType, Content: archives[version]}},
		})
	}
	s := helmrepo.Spec{
		URL: "oci://" + registry.Address + "/charts", Type: helmrepo.TypeOCI, Transport: registry.Transport(),
		Username: "reader", Password: "right",
	}
	c, in := shared(t, t.TempDir(), source.DefaultLimits())
	for versions, want := range map[string]string{"1.0.0": "1.0.0", "1.0.x": "1.0.0", ">=2.0.0-0": "2.0.0-rc.1", "1.1.0+build": "1.1.0+build"} {
		got, err := download(t, c, in, s, "app", versions)
		if err != nil || got.Hash != testhelm.Hash(archives[want]) {
			t.Errorf("%s: %v", versions, err)
		}
	}
	for _, versions := range []string{"3.x", "3.0.0"} {
		if _, err := download(t, c, in, s, "app", versions); !errors.As(err, new(*source.NotFoundError)) {
			t.Errorf("%s: %v", versions, err)
		}
	}
	signed := s
	signed.Verify = &oci.Verify{Provider: oci.Cosign, Keys: map[string][]byte{"a.pub": publicKey(t)}}
	if _, err := download(t, c, in, signed, "app", "1.0.0"); !errors.As(err, new(*source.VerifyError)) {
		t.Errorf("without a signature: %v", err)
	}
	s.Password = "wrong"
	if _, err := download(t, c, in, s, "app", "*"); !errors.As(err, new(*source.AuthError)) {
		t.Errorf("with wrong credentials: %v", err)
	}
}

func publicKey(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestAnIndexThatLeadsToARegistry(t *testing.T) {
	t.Parallel()
	archive := testhelm.Chart(t, "app", "1.0.0", nil)
	registry := testregistry.Start(t, testregistry.Options{Username: "reader", Password: "right"})
	registry.Push(t, "charts/app", "1.0.0", testregistry.Artifact{Type: configType, Layers: []testregistry.Layer{{MediaType: chartType, Content: archive}}})
	server := testhelm.Start(t, testhelm.Options{Username: "reader", Password: "right"})
	server.Put("index.yaml", testhelm.Index(t,
		testhelm.Entry{Name: "app", Version: "1.0.0", URL: "oci://" + registry.Address + "/charts/app:1.0.0", Digest: testhelm.Hash(archive)},
		testhelm.Entry{Name: "untagged", Version: "1.0.0", URL: "oci://" + registry.Address + "/charts/app"}))
	c, in := shared(t, t.TempDir(), source.DefaultLimits())
	s := helmrepo.Spec{URL: server.URL, Username: "reader", Password: "right", Insecure: true, PassCredentials: true}
	got, err := download(t, c, in, s, "app", "*")
	if err != nil || got.Hash != testhelm.Hash(archive) {
		t.Error(got, err)
	}
	if _, err := download(t, c, in, s, "untagged", "*"); err == nil || !strings.Contains(err.Error(), "no tag") {
		t.Errorf("without a tag: %v", err)
	}
	s.PassCredentials = false
	if _, err := download(t, c, in, s, "app", "*"); !errors.As(err, new(*source.AuthError)) {
		t.Errorf("credentials went to the registry: %v", err)
	}
}
