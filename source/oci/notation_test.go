package oci_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	notationregistry "github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source/oci"
)

// notary is an authority and a signer whom it vouches for.
type notary struct {
	ca     []byte // PEM
	signer notation.Signer
}

func newNotary(t *testing.T, name string) notary {
	t.Helper()
	now := time.Now()
	caKey, key := newKey(t), newKey(t)
	subject := func(name string) pkix.Name {
		return pkix.Name{CommonName: name, Organization: []string{"tests"}, Country: []string{"DE"}, Province: []string{"Berlin"}}
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: subject(name + " CA"), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: subject(name), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	check(t, err)
	ca, err = x509.ParseCertificate(caDER)
	check(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	check(t, err)
	leaf, err = x509.ParseCertificate(leafDER)
	check(t, err)
	s, err := signer.NewGenericSigner(key, []*x509.Certificate{leaf, ca})
	check(t, err)
	return notary{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), s}
}

// sign signs an artifact and pushes the signature, as the notation program does.
func (n notary) sign(t *testing.T, r *testregistry.Registry, on v1.Descriptor) {
	t.Helper()
	repo, err := remote.NewRepository(r.Address + "/" + repository)
	check(t, err)
	repo.PlainHTTP = true
	options := notation.SignOptions{ArtifactReference: r.Address + "/" + repository + "@" + on.Digest.String()}
	options.SignatureMediaType = jws.MediaTypeEnvelope
	_, err = notation.Sign(context.Background(), n.signer, notationregistry.NewRepository(repo), options)
	check(t, err)
}

func strict(t *testing.T, identity string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"version": "1.0", "trustPolicies": []any{map[string]any{
		"name": "all", "registryScopes": []string{"*"}, "signatureVerification": map[string]any{"level": "strict"},
		"trustStores": []string{"ca:tests"}, "trustedIdentities": []string{identity},
	}}})
	check(t, err)
	return text
}

func TestNotation(t *testing.T) {
	t.Parallel()
	good, other := newNotary(t, "release"), newNotary(t, "intruder")
	const anybody, nobody = "*", "x509.subject: C=DE, ST=Berlin, O=elsewhere"
	const release = "x509.subject: C=DE, ST=Berlin, O=tests, CN=release"
	trusted := map[string][]byte{"ca.crt": good.ca}
	tests := map[string]struct {
		policy []byte
		by     []notary
		want   string
		err    string
	}{
		"signed":                        {policy: strict(t, anybody), by: []notary{good}, want: "CN=release"},
		"signed by whom the policy has": {policy: strict(t, release), by: []notary{good}, want: "CN=release"},
		"second of two":                 {policy: strict(t, anybody), by: []notary{other, good}, want: "CN=release"},
		"signed by somebody else":       {policy: strict(t, nobody), by: []notary{good}, err: "no signature that spec.verify accepts"},
		"signed under another CA":       {policy: strict(t, anybody), by: []notary{other}, err: "no signature that spec.verify accepts"},
		"not signed":                    {policy: strict(t, anybody), err: "is not signed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testregistry.Start(t, testregistry.Options{})
			on := push(t, r, "latest", "a: 1\n")
			for _, by := range tc.by {
				by.sign(t, r, on)
			}
			judged(t, r, &oci.Verify{Provider: oci.Notation, TrustPolicy: tc.policy, Certificates: trusted}, tc.want, tc.err)
		})
	}
	t.Run("a signature for another artifact", func(t *testing.T) {
		t.Parallel()
		r := testregistry.Start(t, testregistry.Options{})
		elsewhere, on := push(t, r, "elsewhere", "b: 2\n"), push(t, r, "latest", "a: 1\n")
		good.sign(t, r, elsewhere)
		moved := attachment(t, r, elsewhere)
		moved.Subject = &on
		r.Push(t, repository, "", moved)
		judged(t, r, &oci.Verify{Provider: oci.Notation, TrustPolicy: strict(t, anybody), Certificates: trusted}, "", "no signature that spec.verify accepts")
	})
	t.Run("a policy that skips", func(t *testing.T) {
		t.Parallel()
		r := testregistry.Start(t, testregistry.Options{})
		push(t, r, "latest", "a: 1\n")
		policy := []byte(`{"version":"1.0","trustPolicies":[{"name":"none","registryScopes":["*"],"signatureVerification":{"level":"skip"}}]}`)
		judged(t, r, &oci.Verify{Provider: oci.Notation, TrustPolicy: policy, Certificates: trusted}, "", "")
	})
}

// attachment is what refers to an artifact, to be pushed elsewhere.
func attachment(t *testing.T, r *testregistry.Registry, on v1.Descriptor) testregistry.Artifact {
	t.Helper()
	repo := r.Repository(t, repository)
	index, err := ggcr.Referrers(repo.Digest(on.Digest.String()))
	check(t, err)
	found, err := index.IndexManifest()
	check(t, err)
	image, err := ggcr.Image(repo.Digest(found.Manifests[0].Digest.String()))
	check(t, err)
	m, err := image.Manifest()
	check(t, err)
	layers, err := image.Layers()
	check(t, err)
	body, err := layers[0].Compressed()
	check(t, err)
	defer body.Close()
	blob, err := io.ReadAll(body)
	check(t, err)
	return testregistry.Artifact{
		Type:   found.Manifests[0].ArtifactType,
		Layers: []testregistry.Layer{{MediaType: string(m.Layers[0].MediaType), Content: blob}}, Annotations: m.Annotations,
	}
}
