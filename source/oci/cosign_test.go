package oci_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512" // P-384 signs with it
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
)

const (
	signing     = "https://sigstore.dev/cosign/sign/v1"
	provenance  = "https://slsa.dev/provenance/v1"
	oidcIssuer  = "https://issuer.example.com"
	oidcSubject = "release@example.com"
)

// signatureTag is where simple signatures of an artifact are.
func signatureTag(on v1.Descriptor) string { return "sha256-" + on.Digest.Hex + ".sig" }

func TestCosign(t *testing.T) {
	t.Parallel()
	instance, other := newSigstore(t), newSigstore(t)
	key, wrong := newKey(t), newKey(t)
	good := instance.issue(oidcSubject, oidcIssuer, true)
	withKey := oci.Verify{Provider: oci.Cosign, Keys: map[string][]byte{"a.pub": publicPEM(t, newKey(t)), "team.pub": publicPEM(t, key)}}
	keyless := oci.Verify{Provider: oci.Cosign, TrustRoot: instance.trustedRoot(), Identities: []oci.Identity{
		{Issuer: "^https://elsewhere$", Subject: "."}, {Issuer: "^https://issuer[.]example[.]com$", Subject: "^release@"},
	}}
	anybody := oci.Verify{Provider: oci.Cosign, TrustRoot: instance.trustedRoot()}
	bySimple := func(make func(on v1.Descriptor) testregistry.Layer) func(*testing.T, *testregistry.Registry, v1.Descriptor) {
		return func(t *testing.T, r *testregistry.Registry, on v1.Descriptor) {
			r.Push(t, repository, signatureTag(on), testregistry.Artifact{Layers: []testregistry.Layer{make(on)}})
		}
	}
	byBundle := func(s *sigstore, by identity, predicate string) func(*testing.T, *testregistry.Registry, v1.Descriptor) {
		return func(t *testing.T, r *testregistry.Registry, on v1.Descriptor) {
			r.Push(t, repository, "", s.bundled(by, predicate, on))
		}
	}
	tests := map[string]struct {
		verify oci.Verify
		sign   func(t *testing.T, r *testregistry.Registry, on v1.Descriptor)
		want   string // what is verified
		err    string // or why it is not
	}{
		"not signed": {verify: withKey, sign: func(*testing.T, *testregistry.Registry, v1.Descriptor) {}, err: "is not signed"},

		"simple, by the key":       {verify: withKey, sign: bySimple(func(on v1.Descriptor) testregistry.Layer { return simple(t, key, on) }), want: "signature of team.pub"},
		"simple, by another key":   {verify: withKey, sign: bySimple(func(on v1.Descriptor) testregistry.Layer { return simple(t, wrong, on) }), err: "no signature that spec.verify accepts"},
		"simple, second of two":    {verify: withKey, sign: two(t, wrong, key), want: "signature of team.pub"},
		"simple, of another image": {verify: withKey, sign: bySimple(func(v1.Descriptor) testregistry.Layer { return simple(t, key, v1.Descriptor{}) }), err: "it is a signature on"},
		"simple, changed": {verify: withKey, sign: bySimple(func(on v1.Descriptor) testregistry.Layer {
			l := simple(t, key, on)
			l.Content = append(l.Content, ' ')
			return l
		}), err: "no signature that spec.verify accepts"},
		"simple, keyless": {verify: keyless, sign: bySimple(func(on v1.Descriptor) testregistry.Layer { return instance.keyless(good, on) }), want: oidcSubject + ", by " + oidcIssuer},
		"simple, keyless, anybody": {verify: anybody, sign: bySimple(func(on v1.Descriptor) testregistry.Layer {
			return instance.keyless(instance.issue("x@y", "https://z", true), on)
		}), want: "x@y, by https://z"},
		"simple, keyless, somebody else": {verify: keyless, sign: bySimple(func(on v1.Descriptor) testregistry.Layer {
			return instance.keyless(instance.issue("intruder@example.com", oidcIssuer, true), on)
		}), err: "certificate identity"},
		"simple, keyless, of another instance": {verify: keyless, sign: bySimple(func(on v1.Descriptor) testregistry.Layer {
			return other.keyless(other.issue(oidcSubject, oidcIssuer, true), on)
		}), err: "log entries"},
		"simple, keyless, not in Rekor": {verify: keyless, sign: bySimple(func(on v1.Descriptor) testregistry.Layer {
			l := instance.keyless(good, on)
			delete(l.Annotations, "dev.sigstore.cosign/bundle")
			return l
		}), err: "log entries"},
		"simple, keyless, certificate not logged": {verify: keyless, sign: bySimple(func(on v1.Descriptor) testregistry.Layer {
			return instance.keyless(instance.issue(oidcSubject, oidcIssuer, false), on)
		}), err: "certificate timestamp"},
		"simple, keyless, where a key is asked for":    {verify: withKey, sign: bySimple(func(on v1.Descriptor) testregistry.Layer { return instance.keyless(good, on) }), err: "expected key signature"},
		"simple, by a key, where keyless is asked for": {verify: keyless, sign: bySimple(func(on v1.Descriptor) testregistry.Layer { return simple(t, key, on) }), err: "log entries"},

		"bundle, by the key":             {verify: withKey, sign: byBundle(instance, identity{key: key}, signing), want: "signature of team.pub"},
		"bundle, by another key":         {verify: withKey, sign: byBundle(instance, identity{key: wrong}, signing), err: "no signature that spec.verify accepts"},
		"bundle, an attestation":         {verify: withKey, sign: byBundle(instance, identity{key: key}, provenance), err: "attestation of type " + provenance},
		"bundle, keyless":                {verify: keyless, sign: byBundle(instance, good, signing), want: oidcSubject},
		"bundle, keyless, somebody else": {verify: keyless, sign: byBundle(instance, instance.issue("x@y", oidcIssuer, true), signing), err: "certificate identity"},
		"bundle, of another instance":    {verify: keyless, sign: byBundle(other, other.issue(oidcSubject, oidcIssuer, true), signing), err: "log entries"},
		"bundle, of another image": {verify: withKey, sign: func(t *testing.T, r *testregistry.Registry, on v1.Descriptor) {
			a := instance.bundled(identity{key: key}, signing, v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}})
			a.Subject = &on
			r.Push(t, repository, "", a)
		}, err: "does not match any digest"},
		"bundle, not one": {verify: withKey, sign: func(t *testing.T, r *testregistry.Registry, on v1.Descriptor) {
			r.Push(t, repository, "", testregistry.Artifact{Type: bundleType, Subject: &on, Layers: []testregistry.Layer{{MediaType: bundleType, Content: []byte("{")}}})
		}, err: "not a signature"},
		"simple wrong, bundle right": {verify: withKey, sign: func(t *testing.T, r *testregistry.Registry, on v1.Descriptor) {
			bySimple(func(on v1.Descriptor) testregistry.Layer { return simple(t, wrong, on) })(t, r, on)
			byBundle(instance, identity{key: key}, signing)(t, r, on)
		}, want: "signature of team.pub"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testregistry.Start(t, testregistry.Options{})
			on := push(t, r, "latest", "a: 1\n")
			tc.sign(t, r, on)
			judged(t, r, &tc.verify, tc.want, tc.err)
		})
	}
}

func two(t *testing.T, first, second *ecdsa.PrivateKey) func(*testing.T, *testregistry.Registry, v1.Descriptor) {
	return func(_ *testing.T, r *testregistry.Registry, on v1.Descriptor) {
		r.Push(t, repository, signatureTag(on), testregistry.Artifact{Layers: []testregistry.Layer{simple(t, first, on), simple(t, second, on)}})
	}
}

// judged fetches with a verification and checks what comes of it.
func judged(t *testing.T, r *testregistry.Registry, v *oci.Verify, want, reason string) {
	t.Helper()
	client, spec := newClient(t, t.TempDir(), source.DefaultLimits()), plain(r.Address)
	spec.Verify = v
	s, _, err := client.Fetch(t.Context(), spec, "")
	if reason == "" {
		if err != nil || !strings.Contains(s.Verified, want) {
			t.Fatalf("verified %q, %v; want %q", s.Verified, err, want)
		}
		if again, err := client.Open(spec, s.Revision); err != nil || again.Verified != s.Verified {
			t.Errorf("opened again: %q, %v", again.Verified, err)
		}
		return
	}
	if !errors.As(err, new(*source.VerifyError)) || !strings.Contains(err.Error(), reason) || !strings.HasPrefix(err.Error(), spec.URL) {
		t.Errorf("got %v, want a VerifyError with %q", err, reason)
	}
}

// A snapshot that was fetched without verification, or with another one, is not
// given out where one is asked for.
func TestVerifiedAnew(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	key := newKey(t)
	on := push(t, r, "latest", "a: 1\n")
	client, spec := newClient(t, t.TempDir(), source.DefaultLimits()), plain(r.Address)
	s, _, err := client.Fetch(t.Context(), spec, "")
	check(t, err)
	spec.Verify = &oci.Verify{Provider: oci.Cosign, Keys: map[string][]byte{"k.pub": publicPEM(t, key)}}
	if _, err := client.Open(spec, s.Revision); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened without verification: %v", err)
	}
	if _, _, err := client.Fetch(t.Context(), spec, s.Revision); !errors.As(err, new(*source.VerifyError)) {
		t.Errorf("fetched without verification: %v", err)
	}
	r.Push(t, repository, signatureTag(on), testregistry.Artifact{Layers: []testregistry.Layer{simple(t, key, on)}})
	if s, changed, err := client.Fetch(t.Context(), spec, s.Revision); err != nil || changed || s.Verified == "" {
		t.Errorf("signed afterwards: %q, changed %t, %v", s.Verified, changed, err)
	}
}

// The registry of the Distribution project has no referrers API, so that of the
// library stands in for those that do.
func TestReferrersAPI(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	repo, err := name.NewRepository(address+"/"+repository, name.Insecure)
	check(t, err)
	image := content(t, "a: 1\n").Image(t)
	check(t, remote.Write(repo.Tag("latest"), image))
	on, err := remote.Head(repo.Tag("latest"))
	check(t, err)
	key := newKey(t)
	signature := newSigstore(t).bundled(identity{key: key}, signing, *on).Image(t)
	digest, err := signature.Digest()
	check(t, err)
	check(t, remote.Write(repo.Digest(digest.String()), signature))
	spec := plain(address)
	spec.Verify = &oci.Verify{Provider: oci.Cosign, Keys: map[string][]byte{"k.pub": publicPEM(t, key)}}
	if s, _, err := newClient(t, t.TempDir(), source.DefaultLimits()).Fetch(t.Context(), spec, ""); err != nil || s.Verified == "" {
		t.Errorf("%q, %v", s.Verified, err)
	}
}

// Every kind of key that cosign makes or takes.
func TestKeyTypes(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	r := testregistry.Start(t, testregistry.Options{})
	for name, tc := range map[string]struct {
		key  crypto.Signer
		hash crypto.Hash // 0: the text itself is signed
	}{
		"P-256": {newKey(t), crypto.SHA256}, "P-384 with SHA-256": {p384, crypto.SHA256}, "P-384 with SHA-384": {p384, crypto.SHA384},
		"RSA": {rsaKey, crypto.SHA256}, "Ed25519": {edKey, 0},
	} {
		tag := strings.ReplaceAll(strings.ToLower(name), " ", "-")
		on := push(t, r, tag, "a: "+name+"\n")
		text := simplePayload(on)
		if tc.hash != 0 {
			h := tc.hash.New()
			h.Write(text)
			text = h.Sum(nil)
		}
		signature, err := tc.key.Sign(rand.Reader, text, tc.hash)
		check(t, err)
		r.Push(t, repository, signatureTag(on), testregistry.Artifact{Layers: []testregistry.Layer{{
			MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Content: simplePayload(on),
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)},
		}}})
		spec := plain(r.Address)
		spec.Ref.Tag = tag
		spec.Verify = &oci.Verify{Provider: oci.Cosign, Keys: map[string][]byte{"k.pub": publicPEM(t, tc.key)}}
		if s, _, err := newClient(t, t.TempDir(), source.DefaultLimits()).Fetch(t.Context(), spec, ""); err != nil || s.Verified == "" {
			t.Errorf("%s: %q, %v", name, s.Verified, err)
		}
	}
}

// Without a trust root of its own a spec is verified with the client's, and that is
// asked for only then.
func TestSharedTrustRoot(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	instance := newSigstore(t)
	on := push(t, r, "latest", "a: 1\n")
	r.Push(t, repository, signatureTag(on), testregistry.Artifact{Layers: []testregistry.Layer{instance.keyless(instance.issue(oidcSubject, oidcIssuer, true), on)}})
	s, err := store.Open(t.TempDir(), store.Options{})
	check(t, err)
	asked, reachable := 0, false
	client := oci.New(s, oci.Options{Limits: source.DefaultLimits(), TrustRoot: func(context.Context) (root.TrustedMaterial, error) {
		if asked++; !reachable {
			return nil, errors.New("not reachable")
		}
		return root.NewTrustedRootFromJSON(instance.trustedRoot())
	}})
	spec := plain(r.Address)
	_, _, err = client.Fetch(t.Context(), spec, "")
	check(t, err)
	if asked != 0 {
		t.Errorf("asked %d times for nothing", asked)
	}
	spec.Verify = &oci.Verify{Provider: oci.Cosign, Identities: []oci.Identity{{Issuer: oidcIssuer, Subject: oidcSubject}}}
	if _, _, err := client.Fetch(t.Context(), spec, ""); err == nil || errors.As(err, new(*source.VerifyError)) {
		t.Errorf("not reachable: %v", err) // it is tried again
	}
	reachable = true
	if s, _, err := client.Fetch(t.Context(), spec, ""); err != nil || s.Verified == "" {
		t.Errorf("%q, %v", s.Verified, err)
	}
}

// What cannot be meant is told apart from signatures that are not there.
func TestVerifyMeansNothing(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	push(t, r, "latest", "a: 1\n")
	for name, v := range map[string]oci.Verify{
		"another provider":    {Provider: "gpg"},
		"a key that is none":  {Provider: oci.Cosign, Keys: map[string][]byte{"k.pub": []byte("x")}},
		"a pattern":           {Provider: oci.Cosign, TrustRoot: newSigstore(t).trustedRoot(), Identities: []oci.Identity{{Issuer: "(", Subject: "x"}}},
		"a broken trust root": {Provider: oci.Cosign, TrustRoot: []byte("{")},
		"a broken policy":     {Provider: oci.Notation, TrustPolicy: []byte("{")},
		"an empty policy":     {Provider: oci.Notation, TrustPolicy: []byte("{}")},
		"a policy for others": {Provider: oci.Notation, TrustPolicy: []byte(`{"version":"1.0","trustPolicies":[{"name":"a","registryScopes":["example.com/x"],"signatureVerification":{"level":"skip"}}]}`)},
	} {
		spec := plain(r.Address)
		spec.Verify = &v
		_, _, err := newClient(t, t.TempDir(), source.DefaultLimits()).Fetch(t.Context(), spec, "")
		if !errors.As(err, new(*source.InvalidError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
