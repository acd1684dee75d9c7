package v1

import "github.com/plumb-gitops/plumb/api/meta"

// OCIRepositoryVerification says who has to have signed an OCI artifact.
type OCIRepositoryVerification struct {
	// Provider of the signatures.
	// +kubebuilder:validation:Enum=cosign;notation
	// +kubebuilder:default:=cosign
	// +required
	Provider string `json:"provider"`
	// SecretRef names the Secret with trusted public keys (*.pub) for cosign, or with
	// certificates and trustpolicy.json for notation. Without it cosign's keyless
	// signatures are asked for.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
	// MatchOIDCIdentity lists who may have signed without a key; one that matches is
	// enough.
	// +optional
	MatchOIDCIdentity []OIDCIdentityMatch `json:"matchOIDCIdentity,omitempty"`
	// TrustedRootSecretRef names the Secret with the trusted_root.json of a Sigstore
	// instance of one's own.
	// +optional
	TrustedRootSecretRef *meta.LocalObjectReference `json:"trustedRootSecretRef,omitempty"`
}

// OIDCIdentityMatch are regular expressions for the certificate of a signature.
type OIDCIdentityMatch struct {
	// Issuer of the identity.
	// +required
	Issuer string `json:"issuer"`
	// Subject of the certificate.
	// +required
	Subject string `json:"subject"`
}

// secrets are those that the verification refers to.
func (v *OCIRepositoryVerification) secrets() []*meta.LocalObjectReference {
	if v == nil {
		return nil
	}
	return []*meta.LocalObjectReference{v.SecretRef, v.TrustedRootSecretRef}
}
