package oci

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Where cosign puts signatures: at a tag made of the digest, each a layer with the
// signed payload; or, since version 3, as bundles that refer to the artifact.
const (
	simpleSigning    = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundlePrefix     = "application/vnd.dev.sigstore.bundle"
	signingPredicate = "https://sigstore.dev/cosign/sign/v1"
)

// claim is a signature and what it has to be on. The latter may be a reader, so
// it is made for each judge.
type claim struct {
	entity *bundle.Bundle
	on     func() verify.ArtifactPolicyOption
}

// judge accepts the signatures of one key, or those of identities.
type judge struct {
	verifier *verify.Verifier
	policy   []verify.PolicyOption
	who      func(*verify.VerificationResult) string
}

// accept says who made a signature, if it is one that counts.
func (j judge) accept(c claim) (string, error) {
	result, err := j.verifier.Verify(c.entity, verify.NewPolicy(c.on(), j.policy...))
	if err != nil {
		return "", err
	}
	// An attestation says something about the artifact, which need not be good.
	if s := result.Statement; s != nil && s.GetPredicateType() != signingPredicate {
		return "", fmt.Errorf("it is an attestation of type %s, not a signature", s.GetPredicateType())
	}
	return "verified signature of " + j.who(result), nil
}

// verifyCosign looks for a signature that one of the judges accepts.
func (c *Client) verifyCosign(ctx context.Context, r *repository, v *Verify, digest v1.Hash) (string, error) {
	judges, err := v.judges(ctx, c.options.TrustRoot)
	if err != nil {
		return "", err
	}
	var tried []error
	for _, claims := range []func(context.Context, v1.Hash) ([]claim, []error, error){r.simpleClaims, r.bundledClaims} {
		found, broken, err := claims(ctx, digest)
		if err != nil {
			return "", fmt.Errorf("look for signatures: %w", err)
		}
		tried = append(tried, broken...)
		for _, claim := range found {
			for _, judge := range judges {
				who, err := judge.accept(claim)
				if err == nil {
					return who, nil
				}
				tried = append(tried, err)
			}
		}
	}
	return "", unverified(digest, tried)
}

// simpleClaims are the signatures at the tag that is made of the digest.
func (r *repository) simpleClaims(ctx context.Context, digest v1.Hash) (found []claim, broken []error, err error) {
	got, err := r.session.puller.Get(ctx, r.name.Tag(digest.Algorithm+"-"+digest.Hex+".sig"))
	if status(err) == http.StatusNotFound {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := parse(got.Manifest)
	if err != nil || p.image == nil {
		return nil, []error{errNotASignature}, nil //nolint:nilerr // it is one of those that don't count
	}
	for _, layer := range p.image.Layers[:min(len(p.image.Layers), mostSignatures)] {
		if layer.MediaType != simpleSigning {
			continue
		}
		payload, err := r.read(ctx, layer)
		if err != nil {
			return nil, nil, err
		}
		entity, err := simpleBundle(payload, layer.Annotations, digest)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		found = append(found, claim{entity, func() verify.ArtifactPolicyOption { return verify.WithArtifact(bytes.NewReader(payload)) }})
	}
	return found, broken, nil
}

// bundledClaims are the bundles that refer to the digest.
func (r *repository) bundledClaims(ctx context.Context, digest v1.Hash) (found []claim, broken []error, err error) {
	sum, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return nil, nil, err
	}
	referrers, err := r.referrers(ctx, digest)
	if err != nil {
		return nil, nil, err
	}
	for _, referrer := range referrers[:min(len(referrers), mostSignatures)] {
		if !strings.HasPrefix(referrer.ArtifactType, bundlePrefix) {
			continue
		}
		content, _, err := r.attached(ctx, referrer)
		if err != nil && !errors.Is(err, errNotASignature) {
			return nil, nil, err
		}
		entity := &bundle.Bundle{}
		if err != nil || entity.UnmarshalJSON(content) != nil {
			broken = append(broken, errNotASignature)
			continue
		}
		found = append(found, claim{entity, func() verify.ArtifactPolicyOption { return verify.WithArtifactDigest(digest.Algorithm, sum) }})
	}
	return found, broken, nil
}

// judges are those whose signature is accepted.
func (v *Verify) judges(ctx context.Context, public func(context.Context) (root.TrustedMaterial, error)) ([]judge, error) {
	if len(v.Keys) > 0 {
		return v.keyJudges()
	}
	var trusted root.TrustedMaterial
	var err error
	if len(v.TrustRoot) > 0 {
		trusted, err = readTrustRoot(v.TrustRoot)
	} else {
		trusted, err = public(ctx)
	}
	if err != nil {
		return nil, err
	}
	return v.keylessJudge(trusted)
}

func (v *Verify) keyJudges() ([]judge, error) {
	var all []judge
	for _, name := range slices.Sorted(maps.Keys(v.Keys)) {
		public, err := cryptoutils.UnmarshalPEMToPublicKey(v.Keys[name])
		if err != nil {
			return nil, invalid("%s: %w: it is to be a public key in PEM", name, err)
		}
		algorithms, err := verifiers(public)
		if err != nil {
			return nil, invalid("%s: %w", name, err)
		}
		for _, algorithm := range algorithms {
			trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
				return root.NewExpiringKey(algorithm, time.Time{}, time.Time{}), nil
			})
			// The toolkit asks no transparency log where the key is given.
			verifier, err := verify.NewVerifier(trusted, verify.WithNoObserverTimestamps())
			if err != nil {
				return nil, err
			}
			who := func(*verify.VerificationResult) string { return name }
			all = append(all, judge{verifier, []verify.PolicyOption{verify.WithKey()}, who})
		}
	}
	return all, nil
}

// verifiers are the algorithms that a key may have signed with: cosign takes
// SHA-256 for every key, other signers one that goes with the curve.
func verifiers(public crypto.PublicKey) ([]signature.Verifier, error) {
	first, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve == elliptic.P256() {
		return []signature.Verifier{first}, nil
	}
	second, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		return nil, err
	}
	return []signature.Verifier{first, second}, nil
}

// keylessJudge asks for as much as the trust root can prove: a trust root without
// certificate transparency logs, or without Rekor, is that of an instance that has
// none. A time that somebody else vouches for is asked for in any case.
func (v *Verify) keylessJudge(trusted root.TrustedMaterial) ([]judge, error) {
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(trusted.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(trusted.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	verifier, err := verify.NewVerifier(trusted, options...)
	if err != nil {
		return nil, err
	}
	var policy []verify.PolicyOption
	for _, i := range v.Identities {
		identity, err := verify.NewShortCertificateIdentity("", i.Issuer, "", i.Subject)
		if err != nil {
			return nil, invalid("verify.matchOIDCIdentity with issuer %q and subject %q: %w", i.Issuer, i.Subject, err)
		}
		policy = append(policy, verify.WithCertificateIdentity(identity))
	}
	if len(policy) == 0 {
		policy = append(policy, verify.WithoutIdentitiesUnsafe())
	}
	return []judge{{verifier, policy, holder}}, nil
}

// holder is who a certificate was made out to.
func holder(r *verify.VerificationResult) string {
	certificate := r.Signature.Certificate
	return fmt.Sprintf("%s, by %s", certificate.SubjectAlternativeName, certificate.Issuer)
}
