package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/internal/testtls"
	"github.com/plumb-gitops/plumb/source"
)

// The media types of a chart.
const (
	chartConfig = "application/vnd.cncf.helm.config.v1+json"
	chartLayer  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// charted is a namespace with sources of charts, by Kind/name.
type charted struct {
	namespace
	objects   map[string]fetch.Object
	snapshots map[string]source.Snapshot
	repos     []*sourcev1.HelmRepository
}

// Source implements fetch.Cluster.
func (c charted) Source(_ context.Context, kind, name string) (fetch.Object, source.Snapshot, error) {
	if obj, ok := c.objects[kind+"/"+name]; ok {
		return obj, c.snapshots[kind+"/"+name], nil
	}
	return nil, source.Snapshot{}, fmt.Errorf("%s/apps/%s not found", kind, name)
}

// HelmRepositories implements fetch.Cluster.
func (c charted) HelmRepositories(context.Context) ([]*sourcev1.HelmRepository, error) {
	return c.repos, nil
}

// both are the kinds HelmRepository and HelmChart, with one folder.
func both(t *testing.T) (repositories, charts fetch.Kind) {
	t.Helper()
	backends, err := fetch.Open(t.TempDir(), fetch.Options{Limits: source.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range backends.Kinds {
		switch kind.GVK().Kind {
		case sourcev1.HelmRepositoryKind:
			repositories = kind
		case sourcev1.HelmChartKind:
			charts = kind
		}
	}
	return repositories, charts
}

// provenance signs a packed chart as `helm package --sign` does, with a key of its own.
func provenance(t *testing.T, file string, archive []byte) (signed, keyring []byte) {
	t.Helper()
	entity, err := openpgp.NewEntity("charts", "", "charts@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys, out bytes.Buffer
	w, err := clearsign.Encode(&out, entity.PrivateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(archive)
	_, err = w.Write([]byte("apiVersion: v2\nname: app\nversion: 1.0.0\n\n...\nfiles:\n  " + file + ": sha256:" + hex.EncodeToString(sum[:]) + "\n"))
	if err = errors.Join(err, w.Close(), entity.Serialize(&keys)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), keys.Bytes()
}

// TestFieldsOfAHelmRepository looks at a repository, and takes the chart app out of
// it: some fields have a say only then.
func TestFieldsOfAHelmRepository(t *testing.T) {
	t.Parallel()
	const file = "app-1.0.0.tgz"
	archive := testhelm.Chart(t, "app", "1.0.0", nil)
	signature, keyring := provenance(t, file, archive)
	_, others := provenance(t, file, archive)
	open, closed := testhelm.Start(t, testhelm.Options{}), testhelm.Start(t, testhelm.Options{Username: "jo", Password: "planted"})
	secure := testhelm.Start(t, testhelm.Options{TLS: true, Username: "jo", Password: "planted"})
	for _, server := range []*testhelm.Server{open, closed, secure} {
		server.Publish(t, map[string][]byte{file: archive})
	}
	open.Put("charts/"+file+".prov", signature)
	afar := testhelm.Start(t, testhelm.Options{Username: "jo", Password: "planted"})
	afar.Put("index.yaml", testhelm.Index(t, testhelm.Entry{Name: "app", Version: "1.0.0", URL: closed.URL + "/charts/" + file}))
	registry := testregistry.Start(t, testregistry.Options{})
	inside := testregistry.Start(t, testregistry.Options{TLS: true, ClientCert: true, Username: "jo", Password: "planted"})
	for _, r := range []*testregistry.Registry{registry, inside} {
		r.Push(t, "charts/app", "1.0.0", testregistry.Artifact{Type: chartConfig, Layers: []testregistry.Layer{{MediaType: chartLayer, Content: archive}}})
	}
	certificates, mutual, pair := secure.Transport(), inside.Transport(), testtls.New(t).Issue(t, "jo")
	secrets := namespace{secrets: map[string]map[string][]byte{
		"basic": data("username", "jo", "password", "planted"), "wrong": data("username", "jo", "password", "planted2"), "half-user": data("username", "jo"),
		"ca": {"ca.crt": certificates.CA}, "all": {"username": []byte("jo"), "password": []byte("planted"), "ca.crt": certificates.CA}, "half": {"tls.crt": pair.Cert},
		"mutual": {"ca.crt": mutual.CA, "tls.crt": mutual.Cert, "tls.key": mutual.Key}, "login": pullSecret(t, inside.Address, "jo", "planted"),
		"keyring": {"charts.gpg": keyring}, "others": {"charts.gpg": others},
	}}
	with := func(url string, change func(*sourcev1.HelmRepositorySpec)) sourcev1.HelmRepositorySpec {
		s := sourcev1.HelmRepositorySpec{URL: url}
		change(&s)
		return s
	}
	secret := func(name string) func(*sourcev1.HelmRepositorySpec) {
		return func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = named(name) }
	}
	keys := func(name string) func(*sourcev1.HelmRepositorySpec) {
		return func(s *sourcev1.HelmRepositorySpec) { s.KeyringSecretRef = named(name) }
	}
	within := func(change func(*sourcev1.HelmRepositorySpec)) sourcev1.HelmRepositorySpec {
		return with("oci://"+inside.Address+"/charts", func(s *sourcev1.HelmRepositorySpec) {
			s.Type, s.CertSecretRef, s.SecretRef = "oci", named("mutual"), named("login")
			change(s)
		})
	}
	nothing := func(*sourcev1.HelmRepositorySpec) {}
	auth, badChart := sourcev1.AuthenticationFailedReason, sourcev1.ChartVerificationErrorReason
	for label, c := range map[string]struct {
		spec   sourcev1.HelmRepositorySpec
		at     string // where it fails, "repository" or "chart"; nowhere for ""
		reason string
		text   string
	}{
		"url":                       {with(open.URL, nothing), "", "", ""},
		"url, nothing there":        {with(open.URL+"/none", nothing), "repository", sourcev1.IndexationFailedReason, "index.yaml"},
		"url, no scheme":            {with("example.com", nothing), "repository", sourcev1.URLInvalidReason, "example.com"},
		"secretRef":                 {with(closed.URL, secret("basic")), "", "", ""},
		"secretRef, none":           {with(closed.URL, nothing), "repository", auth, closed.URL},
		"secretRef, wrong":          {with(closed.URL, secret("wrong")), "repository", auth, closed.URL},
		"secretRef, half":           {with(closed.URL, secret("half-user")), "repository", auth, "spec.secretRef: Secret half-user: "},
		"secretRef, absent":         {with(closed.URL, secret("absent")), "repository", auth, "spec.secretRef: Secret/apps/absent not found"},
		"secretRef with ca.crt":     {with(secure.URL, secret("all")), "", "", ""},
		"certSecretRef":             {with(secure.URL, func(s *sourcev1.HelmRepositorySpec) { s.CertSecretRef, s.SecretRef = named("ca"), named("basic") }), "", "", ""},
		"certSecretRef, none":       {with(secure.URL, secret("basic")), "repository", auth, "certificate"},
		"certSecretRef, half":       {with(secure.URL, func(s *sourcev1.HelmRepositorySpec) { s.CertSecretRef = named("half") }), "repository", auth, "spec.certSecretRef: Secret half: tls.crt and tls.key are needed together"},
		"passCredentials":           {with(afar.URL, func(s *sourcev1.HelmRepositorySpec) { s.PassCredentials, s.SecretRef = true, named("basic") }), "", "", ""},
		"passCredentials, not said": {with(afar.URL, secret("basic")), "chart", auth, closed.URL},
		"keyringSecretRef":          {with(open.URL, keys("keyring")), "", "", ""},
		"keyringSecretRef, others":  {with(open.URL, keys("others")), "chart", badChart, "not signed by a key of the keyring"},
		"keyringSecretRef, absent":  {with(open.URL, keys("absent")), "repository", auth, "spec.keyringSecretRef: Secret/apps/absent not found"},
		"type":                      {with("oci://"+registry.Address+"/charts", func(s *sourcev1.HelmRepositorySpec) { s.Type, s.Insecure = "oci", true }), "", "", ""},
		"type by the url":           {with("oci://"+registry.Address+"/charts", func(s *sourcev1.HelmRepositorySpec) { s.Insecure = true }), "", "", ""},
		"insecure":                  {with("oci://"+registry.Address+"/charts", nothing), "chart", sourcev1.ChartPullErrorReason, "allow it with spec.insecure"},
		"oci, secretRef":            {within(nothing), "", "", ""},
		"oci, secretRef, basic":     {within(secret("basic")), "", "", ""},
		"oci, secretRef, wrong":     {within(secret("wrong")), "chart", auth, "oci://" + inside.Address},
		"oci, certSecretRef, none":  {within(func(s *sourcev1.HelmRepositorySpec) { s.CertSecretRef = nil }), "chart", auth, "certificate"},
		"provider":                  {within(func(s *sourcev1.HelmRepositorySpec) { s.Provider = sourcev1.ProviderAWS }), "chart", auth, "is no host of Amazon's registries"},
		"provider generic":          {within(func(s *sourcev1.HelmRepositorySpec) { s.Provider = sourcev1.ProviderGeneric }), "", "", ""},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			repositories, charts := both(t)
			repo := &sourcev1.HelmRepository{Spec: c.spec}
			repo.Namespace, repo.Name = "apps", "repo"
			found, err := repositories.Fetch(t.Context(), secrets, repo, source.Snapshot{})
			if c.at == "repository" {
				wantReason(t, repositories, err, c.reason, c.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantIndexStatus(t, repositories, repo, found)
			chart := &sourcev1.HelmChart{Spec: sourcev1.HelmChartSpec{Chart: "app", Version: "*", SourceRef: sourcev1.LocalHelmChartSourceReference{Kind: sourcev1.HelmRepositoryKind, Name: "repo"}}}
			cluster := charted{namespace: secrets, objects: map[string]fetch.Object{"HelmRepository/repo": repo}, snapshots: map[string]source.Snapshot{"HelmRepository/repo": found}}
			pulled, err := charts.Fetch(t.Context(), cluster, chart, source.Snapshot{})
			if c.at == "chart" {
				wantReason(t, charts, err, c.reason, c.text)
				return
			}
			if err != nil || pulled.Revision != "1.0.0" {
				t.Errorf("the chart is %q, %v", pulled.Revision, err)
			}
			if (c.spec.KeyringSecretRef != nil) != (pulled.Verified != "") {
				t.Errorf("verified: %q", pulled.Verified)
			}
		})
	}
}

// wantIndexStatus checks that what the status says leads back to the index; for a
// registry there is none.
func wantIndexStatus(t *testing.T, kind fetch.Kind, repo *sourcev1.HelmRepository, found source.Snapshot) {
	t.Helper()
	repo.Status.Artifact, repo.Status.URL = &meta.Artifact{Revision: found.Revision, URL: "http://artifacts/helmrepository/apps/repo/1.yaml"}, "before"
	reason, message := kind.Succeeded(repo, found)
	if repo.Spec.IsOCI() {
		if found.Tree != nil || repo.Status.Artifact != nil || repo.Status.URL != "" || reason != meta.SucceededReason {
			t.Errorf("a registry has %+v, and the status %+v", found, repo.Status)
		}
		return
	}
	if reason != meta.SucceededReason || message != "stored artifact for revision '"+found.Revision+"'" {
		t.Errorf("it says %s: %s", reason, message)
	}
	if !strings.HasPrefix(repo.Status.URL, "http://artifacts/helmrepository/apps/repo/latest.") {
		t.Errorf("the status is %+v", repo.Status)
	}
	again, err := kind.Open(t.Context(), namespace{}, repo)
	if err != nil || again.Revision != found.Revision || again.Digest != found.Digest {
		t.Errorf("it opens as %s %s, %v, want %s %s", again.Revision, again.Digest, err, found.Revision, found.Digest)
	}
}
