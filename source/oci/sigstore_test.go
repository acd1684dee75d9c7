package oci_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"golang.org/x/crypto/cryptobyte"

	"github.com/plumb-gitops/plumb/internal/testregistry"
)

// sigstore is a Sigstore instance with keys of its own: a Fulcio that issues
// certificates and has them logged, and a Rekor that logs signatures. What they
// sign is verified as that of the public instance is.
type sigstore struct {
	tb          testing.TB
	root, sub   *x509.Certificate
	subKey      *ecdsa.PrivateKey
	rekor, ctfe *ecdsa.PrivateKey
	now         time.Time
}

func newSigstore(tb testing.TB) *sigstore {
	tb.Helper()
	s := &sigstore{tb: tb, rekor: newKey(tb), ctfe: newKey(tb), subKey: newKey(tb), now: time.Now()}
	rootKey := newKey(tb)
	authority := func(name string, usage []x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"tests"}},
			NotBefore: s.now.Add(-time.Hour), NotAfter: s.now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: usage,
		}
	}
	top := authority("root", nil)
	s.root = s.certificate(top, top, rootKey, rootKey)
	s.sub = s.certificate(authority("intermediate", []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}), s.root, s.subKey, rootKey)
	return s
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(tb, err)
	return key
}

func (s *sigstore) certificate(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	s.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	check(s.tb, err)
	cert, err := x509.ParseCertificate(der)
	check(s.tb, err)
	return cert
}

// trustedRoot is the trusted_root.json of the instance.
func (s *sigstore) trustedRoot() []byte {
	s.tb.Helper()
	log := func(key *ecdsa.PrivateKey, address string) map[string]*root.TransparencyLog {
		id := logID(s.tb, key)
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: address, ID: id, ValidityPeriodStart: s.now.Add(-time.Hour), HashFunc: crypto.SHA256, PublicKey: key.Public(), SignatureHashFunc: crypto.SHA256,
		}}
	}
	fulcio := &root.FulcioCertificateAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.sub}, URI: "https://fulcio.localhost",
		ValidityPeriodStart: s.now.Add(-time.Hour), ValidityPeriodEnd: s.now.Add(time.Hour),
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{fulcio},
		log(s.ctfe, "https://ctfe.localhost"), nil, log(s.rekor, "https://rekor.localhost"))
	check(s.tb, err)
	content, err := trusted.MarshalJSON()
	check(s.tb, err)
	return content
}

func logID(tb testing.TB, key *ecdsa.PrivateKey) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(tb, err)
	sum := sha256.Sum256(der)
	return sum[:]
}

// identity is a key with a certificate of Fulcio.
type identity struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func (i identity) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

// issue makes a certificate for an email address, with the log's promise in it.
func (s *sigstore) issue(email, issuer string, logged bool) identity {
	s.tb.Helper()
	key := newKey(s.tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), EmailAddresses: []string{email}, NotBefore: s.now.Add(-time.Minute), NotAfter: s.now.Add(9 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer)}},
	}
	cert := s.certificate(template, s.sub, key, s.subKey)
	if logged {
		promise := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: s.timestamp(cert)}
		template.ExtraExtensions = append(template.ExtraExtensions, promise)
		cert = s.certificate(template, s.sub, key, s.subKey)
	}
	return identity{key, cert}
}

// timestamp is the signed certificate timestamp of RFC 6962, 3.2 and 3.3, for the
// certificate that will hold it.
func (s *sigstore) timestamp(without *x509.Certificate) []byte {
	s.tb.Helper()
	at := uint64(s.now.UnixMilli())
	issuer := sha256.Sum256(s.sub.RawSubjectPublicKeyInfo)
	var signed cryptobyte.Builder
	signed.AddUint8(0) // version 1
	signed.AddUint8(0) // of a certificate
	signed.AddUint64(at)
	signed.AddUint16(1) // before it was issued
	signed.AddBytes(issuer[:])
	signed.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(without.RawTBSCertificate) })
	signed.AddUint16(0) // no extensions
	sign := sign(s.tb, s.ctfe, signed.BytesOrPanic())
	var list cryptobyte.Builder
	list.AddUint16LengthPrefixed(func(all *cryptobyte.Builder) {
		all.AddUint16LengthPrefixed(func(one *cryptobyte.Builder) {
			one.AddUint8(0)
			one.AddBytes(logID(s.tb, s.ctfe))
			one.AddUint64(at)
			one.AddUint16(0)
			one.AddUint8(4) // SHA-256
			one.AddUint8(3) // ECDSA
			one.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(sign) })
		})
	})
	value, err := asn1.Marshal(list.BytesOrPanic())
	check(s.tb, err)
	return value
}

func sign(tb testing.TB, key *ecdsa.PrivateKey, message []byte) []byte {
	tb.Helper()
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	check(tb, err)
	return signature
}

func publicPEM(tb testing.TB, key crypto.Signer) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(tb, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// entry is what Rekor answers: the body that it logged and its promise.
type entry struct {
	Body           []byte `json:"body"`
	IntegratedTime int64  `json:"integratedTime"`
	LogID          string `json:"logID"`
	LogIndex       int64  `json:"logIndex"`
	promise        []byte
}

func (s *sigstore) log(kind string, spec any) entry {
	s.tb.Helper()
	body, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": kind, "spec": spec})
	check(s.tb, err)
	e := entry{Body: body, IntegratedTime: s.now.Unix(), LogID: hex.EncodeToString(logID(s.tb, s.rekor))}
	canonical, err := json.Marshal(e) // the fields are in the order of their names
	check(s.tb, err)
	e.promise = sign(s.tb, s.rekor, canonical)
	return e
}

// logSignature logs a signature on a text; logEnvelope one that is in an envelope.
func (s *sigstore) logSignature(text, signature []byte, by identity) entry {
	return s.log("hashedrekord", map[string]any{
		"data":      map[string]any{"hash": hashOf(text)},
		"signature": map[string]any{"content": signature, "publicKey": map[string]any{"content": by.pem()}},
	})
}

func (s *sigstore) logEnvelope(envelope, payload, signature []byte, by identity) entry {
	return s.log("dsse", map[string]any{
		"envelopeHash": hashOf(envelope), "payloadHash": hashOf(payload),
		"signatures": []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(signature), "verifier": by.pem()}},
	})
}

func hashOf(text []byte) map[string]any {
	sum := sha256.Sum256(text)
	return map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
}

// inclusion proves that an entry is in a log which has no other.
func (s *sigstore) inclusion(e entry) map[string]any {
	leaf := sha256.Sum256(append([]byte{0}, e.Body...))
	text := fmt.Sprintf("rekor.localhost - 1\n1\n%s\n", base64.StdEncoding.EncodeToString(leaf[:]))
	hint := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(logID(s.tb, s.rekor)))
	signature := base64.StdEncoding.EncodeToString(append(hint, sign(s.tb, s.rekor, []byte(text))...))
	return map[string]any{
		"logIndex": "0", "rootHash": leaf[:], "treeSize": "1", "hashes": []string{},
		"checkpoint": map[string]any{"envelope": fmt.Sprintf("%s\n\u2014 rekor.localhost %s\n", text, signature)},
	}
}

// simplePayload is what a simple signature is on.
func simplePayload(on v1.Descriptor) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, on.Digest)
}

// simple signs with a key, as cosign did before version 3.
func simple(tb testing.TB, key *ecdsa.PrivateKey, on v1.Descriptor) testregistry.Layer {
	tb.Helper()
	payload := simplePayload(on)
	return testregistry.Layer{
		MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Content: payload,
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sign(tb, key, payload))},
	}
}

// keyless signs with a certificate, and logs that.
func (s *sigstore) keyless(by identity, on v1.Descriptor) testregistry.Layer {
	s.tb.Helper()
	l := simple(s.tb, by.key, on)
	signature, err := base64.StdEncoding.DecodeString(l.Annotations["dev.cosignproject.cosign/signature"])
	check(s.tb, err)
	e := s.logSignature(l.Content, signature, by)
	logged, err := json.Marshal(map[string]any{"SignedEntryTimestamp": e.promise, "Payload": e})
	check(s.tb, err)
	l.Annotations["dev.sigstore.cosign/bundle"] = string(logged)
	l.Annotations["dev.sigstore.cosign/certificate"] = string(by.pem())
	return l
}

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// bundled is a statement about an artifact, signed in an envelope. by has no
// certificate when the signature is that of a key; nobody logs it then.
func (s *sigstore) bundled(by identity, predicate string, on v1.Descriptor) testregistry.Artifact {
	s.tb.Helper()
	const kind = "application/vnd.in-toto+json"
	payload, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "predicate": map[string]any{},
		"subject": []any{map[string]any{"digest": map[string]string{"sha256": on.Digest.Hex}}},
	})
	check(s.tb, err)
	signature := sign(s.tb, by.key, fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload))
	envelope := map[string]any{"payload": payload, "payloadType": kind, "signatures": []any{map[string]any{"sig": signature}}}
	material := map[string]any{"publicKey": map[string]any{"hint": "key"}}
	if by.cert != nil {
		text, err := json.Marshal(envelope)
		check(s.tb, err)
		e := s.logEnvelope(text, payload, signature, by)
		id, err := hex.DecodeString(e.LogID)
		check(s.tb, err)
		material = map[string]any{
			"certificate": map[string]any{"rawBytes": by.cert.Raw},
			"tlogEntries": []any{map[string]any{
				"logIndex": "0", "logId": map[string]any{"keyId": id}, "kindVersion": map[string]string{"kind": "dsse", "version": "0.0.1"},
				"integratedTime": fmt.Sprint(e.IntegratedTime), "canonicalizedBody": e.Body,
				"inclusionPromise": map[string]any{"signedEntryTimestamp": e.promise}, "inclusionProof": s.inclusion(e),
			}},
		}
	}
	content, err := json.Marshal(map[string]any{"mediaType": bundleType, "verificationMaterial": material, "dsseEnvelope": envelope})
	check(s.tb, err)
	return testregistry.Artifact{Type: bundleType, Subject: &on, Layers: []testregistry.Layer{{MediaType: bundleType, Content: bytes.TrimSpace(content)}}}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
