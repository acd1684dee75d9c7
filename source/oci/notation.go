package oci

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// notationType is the artifact type of a signature of the Notary Project.
const notationType = "application/vnd.cncf.notary.signature"

// trustStore has the same authorities under every name.
type trustStore []*x509.Certificate

// GetCertificates implements truststore.X509TrustStore.
func (t trustStore) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return t, truststore.ValidateCertificates(t)
}

// policy reads what a signature of the Notary Project is judged by.
func (v *Verify) policy() (*trustpolicy.Document, trustStore, error) {
	var policy trustpolicy.Document
	if err := json.Unmarshal(v.TrustPolicy, &policy); err != nil {
		return nil, nil, invalid("trustpolicy.json: %w", err)
	}
	if err := policy.Validate(); err != nil {
		return nil, nil, invalid("trustpolicy.json: %w", err)
	}
	var store trustStore
	for _, name := range slices.Sorted(maps.Keys(v.Certificates)) {
		found, err := cryptoutils.UnmarshalCertificatesFromPEM(v.Certificates[name])
		if err != nil || len(found) == 0 {
			return nil, nil, invalid("%s has no certificate in PEM", name)
		}
		store = append(store, found...)
	}
	return &policy, store, nil
}

// verifyNotation looks for a signature that the trust policy accepts. Whether a
// certificate was revoked is asked where the certificate says, and only if the
// policy wants to know.
func verifyNotation(ctx context.Context, r *repository, v *Verify, on v1.Hash) (string, error) {
	policy, store, err := v.policy()
	if err != nil {
		return "", err
	}
	reference := r.name.Name() + "@" + on.String()
	statement, err := policy.GetApplicableTrustPolicy(reference)
	if err != nil {
		return "", invalid("trustpolicy.json has no policy for %s: name it in registryScopes, or \"*\"", r.name.Name())
	}
	if level, err := statement.SignatureVerification.GetVerificationLevel(); err != nil || level.Name == trustpolicy.LevelSkip.Name {
		return "", err // the policy wants none, so none is reported
	}
	judge, err := verifier.New(policy, store, nil)
	if err != nil {
		return "", invalid("trustpolicy.json: %w", err)
	}
	subject, err := r.descriptor(ctx, on)
	if err != nil {
		return "", err
	}
	referrers, err := r.referrers(ctx, on)
	if err != nil {
		return "", fmt.Errorf("look for signatures: %w", err)
	}
	var tried []error
	for _, referrer := range referrers[:min(len(referrers), mostSignatures)] {
		if referrer.ArtifactType != notationType {
			continue
		}
		envelope, layer, err := r.attached(ctx, referrer)
		if errors.Is(err, errNotASignature) {
			tried = append(tried, err)
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look for signatures: %w", err)
		}
		options := notation.VerifierVerifyOptions{ArtifactReference: reference, SignatureMediaType: string(layer.MediaType)}
		outcome, err := judge.Verify(ctx, subject, envelope, options)
		if err == nil {
			return "verified signature of " + signer(outcome), nil
		}
		tried = append(tried, err)
	}
	return "", unverified(on, tried)
}

// signer is whom the certificate of an accepted signature names.
func signer(o *notation.VerificationOutcome) string {
	if o.EnvelopeContent == nil || len(o.EnvelopeContent.SignerInfo.CertificateChain) == 0 {
		return "an unnamed signer"
	}
	return o.EnvelopeContent.SignerInfo.CertificateChain[0].Subject.String()
}

// descriptor is what a signature of the Notary Project is on.
func (r *repository) descriptor(ctx context.Context, on v1.Hash) (ocispec.Descriptor, error) {
	got, err := r.session.puller.Get(ctx, r.name.Digest(on.String()))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: string(got.MediaType), Digest: digest.Digest(on.String()), Size: got.Size}, nil
}
