package fetch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// pulling is a namespace whose service accounts have Secrets for pulling.
type pulling struct {
	namespace
	pulls map[string][]string
}

// ServiceAccount implements fetch.Cluster.
func (p pulling) ServiceAccount(ctx context.Context, name string) (*cloud.ServiceAccount, []string, error) {
	account, _, err := p.namespace.ServiceAccount(ctx, name)
	return account, p.pulls[name], err
}

// pullSecret is the data of a Secret for a registry.
func pullSecret(t *testing.T, host, username, password string) map[string][]byte {
	t.Helper()
	file, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"username": username, "password": password}}})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{".dockerconfigjson": file}
}

// cosigner signs as cosign did before version 3.
type cosigner struct {
	key    *ecdsa.PrivateKey
	public []byte // PEM
}

func newCosigner(t *testing.T) cosigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return cosigner{key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
}

// sign pushes a signature on an artifact.
func (c cosigner) sign(t *testing.T, r *testregistry.Registry, repository string, on v1.Descriptor) {
	t.Helper()
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, on.Digest)
	sum := sha256.Sum256(payload)
	signature, err := ecdsa.SignASN1(rand.Reader, c.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	r.Push(t, repository, "sha256-"+on.Digest.Hex+".sig", testregistry.Artifact{Layers: []testregistry.Layer{{
		MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Content: payload,
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)},
	}}})
}

// nobodysRoot is a trusted_root.json in which nobody is trusted.
func nobodysRoot(t *testing.T) []byte {
	t.Helper()
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := trusted.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestFieldsOfAnOCIRepository(t *testing.T) {
	t.Parallel()
	open := testregistry.Start(t, testregistry.Options{})
	safe := testregistry.Start(t, testregistry.Options{TLS: true, ClientCert: true, Username: "jo", Password: "planted"})
	layers := []testregistry.Layer{
		{Content: testregistry.TarGz(t, map[string]string{"app/a.yaml": "a", "app/b.md": "b"})},
		{MediaType: "application/x.other", Content: testregistry.TarGz(t, map[string]string{"other/c.yaml": "c"})},
	}
	digests := map[string]v1.Descriptor{}
	for _, tag := range []string{"latest", "1.0.0", "1.1.0", "2.0.0-rc.1"} {
		digests[tag] = open.Push(t, "apps/web", tag, testregistry.Artifact{Layers: layers, Annotations: map[string]string{"tag": tag}})
	}
	safe.Push(t, "apps/web", "latest", testregistry.Artifact{Layers: layers})
	signer, stranger := newCosigner(t), newCosigner(t)
	signer.sign(t, open, "apps/web", digests["1.0.0"])
	proxy, asked := through(t)
	certificates := safe.Transport()
	cluster := pulling{
		namespace: namespace{
			secrets: map[string]map[string][]byte{
				"tls": {"ca.crt": certificates.CA, "tls.crt": certificates.Cert, "tls.key": certificates.Key}, "half": data("tls.crt", "planted"),
				"login": pullSecret(t, safe.Address, "jo", "planted"), "wrong": pullSecret(t, safe.Address, "jo", "planted2"), "nothing": data("token", "planted"),
				"proxy": data("address", proxy), "keys": {"team.pub": signer.public}, "others": {"team.pub": stranger.public}, "root": {"trusted_root.json": nobodysRoot(t)},
			},
			accounts: map[string]*cloud.ServiceAccount{"plain": {Namespace: "apps", Name: "plain"}, "puller": {}, "lost": {}},
		},
		pulls: map[string][]string{"puller": {"login"}, "lost": {"absent"}},
	}
	plain := func(change func(*sourcev1.OCIRepositorySpec)) sourcev1.OCIRepositorySpec {
		s := sourcev1.OCIRepositorySpec{URL: "oci://" + open.Address + "/apps/web", Insecure: true}
		change(&s)
		return s
	}
	inside := func(change func(*sourcev1.OCIRepositorySpec)) sourcev1.OCIRepositorySpec {
		s := sourcev1.OCIRepositorySpec{URL: "oci://" + safe.Address + "/apps/web", CertSecretRef: named("tls"), SecretRef: named("login")}
		change(&s)
		return s
	}
	ref := func(r sourcev1.OCIRepositoryRef) sourcev1.OCIRepositorySpec {
		return plain(func(s *sourcev1.OCIRepositorySpec) { s.Reference = &r })
	}
	layer := func(mediaType, operation string) sourcev1.OCIRepositorySpec {
		return plain(func(s *sourcev1.OCIRepositorySpec) {
			s.LayerSelector = &sourcev1.OCILayerSelector{MediaType: mediaType, Operation: operation}
		})
	}
	signed := func(v sourcev1.OCIRepositoryVerification) sourcev1.OCIRepositorySpec {
		return plain(func(s *sourcev1.OCIRepositorySpec) {
			s.Reference, s.Verify = &sourcev1.OCIRepositoryRef{Tag: "1.0.0"}, &v
		})
	}
	nothing := func(*sourcev1.OCIRepositorySpec) {}
	auth, pull := sourcev1.AuthenticationFailedReason, sourcev1.OCIPullFailedReason
	all := []string{"app"}
	for label, c := range map[string]struct {
		spec   sourcev1.OCIRepositorySpec
		tag    string   // whose content it is; a failure when ""
		holds  []string // what is at its top
		reason string
		text   string
	}{
		"url":                             {plain(nothing), "latest", all, "", ""},
		"url, no oci://":                  {plain(func(s *sourcev1.OCIRepositorySpec) { s.URL = "https://example.com" }), "", nil, sourcev1.URLInvalidReason, "oci://"},
		"ref.tag":                         {ref(sourcev1.OCIRepositoryRef{Tag: "1.0.0"}), "1.0.0", all, "", ""},
		"ref.semver":                      {ref(sourcev1.OCIRepositoryRef{SemVer: "1.x", Tag: "latest"}), "1.1.0", all, "", ""},
		"ref.semverFilter":                {ref(sourcev1.OCIRepositoryRef{SemVer: ">=1.0.0-0", SemverFilter: ".*-rc.*"}), "2.0.0-rc.1", all, "", ""},
		"ref.digest":                      {ref(sourcev1.OCIRepositoryRef{Digest: digests["1.0.0"].Digest.String(), SemVer: "1.x"}), "1.0.0", all, "", ""},
		"ref.tag, absent":                 {ref(sourcev1.OCIRepositoryRef{Tag: "none"}), "", nil, pull, "there is no tag none"},
		"layerSelector.mediaType":         {layer("application/x.other", ""), "latest", []string{"other"}, "", ""},
		"layerSelector.mediaType, absent": {layer("application/json", ""), "", nil, "", "application/json"},
		"layerSelector.operation":         {layer("application/x.other", "copy"), "latest", []string{"other"}, "", ""},
		"ignore":                          {plain(func(s *sourcev1.OCIRepositorySpec) { s.Ignore = new("app/\n!app/") }), "latest", all, "", ""},
		"ignore, all":                     {plain(func(s *sourcev1.OCIRepositorySpec) { s.Ignore = new("app") }), "latest", nil, "", ""},
		"insecure":                        {plain(func(s *sourcev1.OCIRepositorySpec) { s.Insecure = false }), "", nil, pull, "allow it with spec.insecure"},
		"secretRef":                       {inside(nothing), "latest", all, "", ""},
		"secretRef, none":                 {inside(func(s *sourcev1.OCIRepositorySpec) { s.SecretRef = nil }), "", nil, auth, "oci://" + safe.Address},
		"secretRef, wrong":                {inside(func(s *sourcev1.OCIRepositorySpec) { s.SecretRef = named("wrong") }), "", nil, auth, "oci://" + safe.Address},
		"secretRef, nothing":              {inside(func(s *sourcev1.OCIRepositorySpec) { s.SecretRef = named("nothing") }), "", nil, auth, "spec.secretRef: Secret nothing: "},
		"secretRef, absent":               {inside(func(s *sourcev1.OCIRepositorySpec) { s.SecretRef = named("absent") }), "", nil, auth, "spec.secretRef: Secret/apps/absent not found"},
		"certSecretRef, none":             {inside(func(s *sourcev1.OCIRepositorySpec) { s.CertSecretRef = nil }), "", nil, auth, "certificate"},
		"certSecretRef, half":             {inside(func(s *sourcev1.OCIRepositorySpec) { s.CertSecretRef = named("half") }), "", nil, auth, "spec.certSecretRef: Secret half: tls.crt and tls.key are needed together"},
		"proxySecretRef":                  {plain(func(s *sourcev1.OCIRepositorySpec) { s.ProxySecretRef = named("proxy") }), "latest", all, "", ""},
		"proxySecretRef, absent":          {plain(func(s *sourcev1.OCIRepositorySpec) { s.ProxySecretRef = named("absent") }), "", nil, auth, "spec.proxySecretRef: Secret/apps/absent not found"},
		"serviceAccountName":              {inside(func(s *sourcev1.OCIRepositorySpec) { s.SecretRef, s.ServiceAccountName = nil, "puller" }), "latest", all, "", ""},
		"serviceAccountName, no Secret":   {inside(func(s *sourcev1.OCIRepositorySpec) { s.SecretRef, s.ServiceAccountName = nil, "lost" }), "", nil, auth, "spec.serviceAccountName: Secret/apps/absent not found"},
		"serviceAccountName, absent":      {inside(func(s *sourcev1.OCIRepositorySpec) { s.ServiceAccountName = "absent" }), "", nil, auth, "spec.serviceAccountName: ServiceAccount/apps/absent not found"},
		"provider generic":                {plain(func(s *sourcev1.OCIRepositorySpec) { s.Provider = sourcev1.ProviderGeneric }), "latest", all, "", ""},
		"provider azure": {inside(func(s *sourcev1.OCIRepositorySpec) {
			s.Provider, s.ServiceAccountName = sourcev1.ProviderAzure, "plain"
		}), "", nil, auth, "lacks the annotations azure.workload.identity/client-id"},
		"provider gcp":               {inside(func(s *sourcev1.OCIRepositorySpec) { s.Provider, s.ServiceAccountName = sourcev1.ProviderGCP, "absent" }), "", nil, auth, "spec.serviceAccountName: ServiceAccount/apps/absent not found"},
		"provider aws, elsewhere":    {inside(func(s *sourcev1.OCIRepositorySpec) { s.Provider = sourcev1.ProviderAWS }), "", nil, auth, "is no host of Amazon's registries"},
		"verify.secretRef":           {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", SecretRef: named("keys")}), "1.0.0", all, "", ""},
		"verify.provider by default": {signed(sourcev1.OCIRepositoryVerification{SecretRef: named("keys")}), "1.0.0", all, "", ""},
		"verify.secretRef of others": {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", SecretRef: named("others")}), "", nil, sourcev1.VerificationErrorReason, "no signature that spec.verify accepts"},
		"verify.provider notation":   {signed(sourcev1.OCIRepositoryVerification{Provider: "notation", SecretRef: named("keys")}), "", nil, auth, "spec.verify.secretRef: Secret keys: the Secret needs the key trustpolicy.json"},
		"verify.trustedRootSecretRef": {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", TrustedRootSecretRef: named("root")}),
			"", nil, sourcev1.VerificationErrorReason, "no signature that spec.verify accepts"},
		"verify.trustedRootSecretRef, nothing": {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", TrustedRootSecretRef: named("nothing")}),
			"", nil, auth, "spec.verify.trustedRootSecretRef: Secret nothing: the Secret has no key trusted_root.json"},
		"verify.matchOIDCIdentity": {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", TrustedRootSecretRef: named("root"), MatchOIDCIdentity: []sourcev1.OIDCIdentityMatch{{Issuer: "(", Subject: "jo@"}}}),
			"", nil, "", `verify.matchOIDCIdentity with issuer "(" and subject "jo@"`},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			kind, obj := kindOf(t, sourcev1.OCIRepositoryKind), &sourcev1.OCIRepository{Spec: c.spec}
			obj.Namespace, obj.Name = "apps", "web"
			before := asked.Load()
			found, err := kind.Fetch(t.Context(), cluster, obj, source.Snapshot{})
			if c.tag == "" {
				wantReason(t, kind, err, c.reason, c.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if label != "secretRef" && !strings.HasSuffix(found.Revision, digests[c.tag].Digest.String()) && c.spec.Insecure {
				t.Errorf("the revision is %s, want that of %s", found.Revision, c.tag)
			}
			if top := listed(t, found); !slices.Equal(top, c.holds) {
				t.Errorf("it holds %v, want %v", top, c.holds)
			}
			if kept := found.Archive != nil; kept != (c.spec.GetLayerSelector().Operation == sourcev1.LayerCopy) {
				t.Errorf("the layer is kept as it is: %t", kept)
			}
			if (c.spec.Verify != nil) != (found.Verified != "") {
				t.Errorf("verified: %q", found.Verified)
			}
			if c.spec.ProxySecretRef != nil && asked.Load() == before {
				t.Error("nothing went through the proxy")
			}
			wantOCIStatus(t, cluster, kind, obj, found)
		})
	}
}

// wantReason checks why a fetch failed; any reason will do for "".
func wantReason(t *testing.T, kind fetch.Kind, err error, reason, text string) {
	t.Helper()
	got := fetch.Reason(err, kind.Failure())
	if err == nil || reason != "" && got != reason || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "planted") {
		t.Errorf("got %s: %v, want %s: %s", got, err, reason, text)
	}
}

// listed is what is at the top of a snapshot.
func listed(t *testing.T, s source.Snapshot) (names []string) {
	t.Helper()
	entries, err := s.Tree.List(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name)
	}
	return names
}

// wantOCIStatus checks that what the status says leads back to the snapshot.
func wantOCIStatus(t *testing.T, c fetch.Cluster, kind fetch.Kind, obj *sourcev1.OCIRepository, found source.Snapshot) {
	t.Helper()
	obj.Status.Artifact = &meta.Artifact{Revision: found.Revision, URL: "http://artifacts/ocirepository/apps/web/1.tar.gz"}
	if reason, message := kind.Succeeded(obj, found); reason != meta.SucceededReason || message != "stored artifact for revision '"+found.Revision+"'" {
		t.Errorf("it says %s: %s", reason, message)
	}
	want := sourcev1.OCIRepositoryStatus{
		Artifact: obj.Status.Artifact, URL: "http://artifacts/ocirepository/apps/web/latest.tar.gz",
		ObservedIgnore: obj.Spec.Ignore, ObservedLayerSelector: obj.Spec.LayerSelector,
	}
	if diff := cmp.Diff(want, obj.Status); diff != "" {
		t.Errorf("the status:\n%s", diff)
	}
	again, err := kind.Open(t.Context(), c, obj)
	if err != nil || again.Revision != found.Revision || again.Digest != found.Digest {
		t.Errorf("it opens as %s %s, %v, want %s %s", again.Revision, again.Digest, err, found.Revision, found.Digest)
	}
}
