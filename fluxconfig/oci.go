package fluxconfig

import (
	"cmp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

func (g *generation) oci(o *clusterconfigv1.OCIRepositoryDefinition) (*unstructured.Unstructured, error) {
	spec := map[string]any{"url": o.URL}
	ref := map[string]any{}
	if o.Ref != nil {
		set(ref, "tag", o.Ref.Tag)
		set(ref, "semver", o.Ref.SemVer)
		set(ref, "digest", o.Ref.Digest)
	}
	if len(ref) > 0 {
		spec["ref"] = ref
	}
	if o.LayerSelector != nil {
		layer := map[string]any{}
		set(layer, "mediaType", o.LayerSelector.MediaType)
		set(layer, "operation", o.LayerSelector.Operation)
		spec["layerSelector"] = layer
	}
	if err := g.verify(spec, o.Verify); err != nil {
		return nil, err
	}
	setTrue(spec, "insecure", o.Insecure)
	if o.UseWorkloadIdentity {
		spec["provider"] = azure
	}
	set(spec, "serviceAccountName", o.ServiceAccountName)
	g.asIdentity(spec, o.Access)
	g.authenticate(spec, o.Access, nil)
	g.tls(spec, o.LocalAuthRef)
	return g.finish(clusterconfigv1.OCIRepositorySource, spec, o.Timing, o.AdditionalConfigurations)
}

// tls refers to a Secret with the certificates and the key that are given.
func (g *generation) tls(spec map[string]any, localAuthRef string) {
	data := map[string][]byte{}
	for entry, parameter := range map[string]string{
		"tls.crt": clusterconfigv1.TLSClientCertificate, "tls.key": clusterconfigv1.TLSPrivateKey, "ca.crt": clusterconfigv1.TLSCACertificate,
	} {
		if value := g.in.Protected[parameter]; len(value) > 0 {
			data[entry] = value
		}
	}
	if len(data) == 0 || localAuthRef != "" {
		return
	}
	name := g.fc.Name + "-tls"
	g.beside = append(g.beside, g.secret(name, data))
	spec["certSecretRef"] = map[string]any{"name": name}
}

// verify refers to a Secret with the trusted keys.
func (g *generation) verify(spec map[string]any, v *clusterconfigv1.OCIVerify) error {
	if v == nil {
		return nil
	}
	out := map[string]any{"provider": cmp.Or(v.Provider, "cosign")}
	data := make(map[string][]byte, len(v.VerificationConfig))
	for file, value := range v.VerificationConfig {
		content, err := decoded("ociRepository.verify.verificationConfig: "+file, value)
		if err != nil {
			return g.invalid("%w", err)
		}
		data[file] = content
	}
	if len(data) > 0 {
		name := g.fc.Name + "-verify"
		g.beside = append(g.beside, g.secret(name, data))
		out["secretRef"] = map[string]any{"name": name}
	}
	var signers []any
	for _, who := range v.MatchOIDCIdentity {
		signers = append(signers, map[string]any{"issuer": who.Issuer, "subject": who.Subject})
	}
	if signers != nil {
		out["matchOIDCIdentity"] = signers
	}
	spec["verify"] = out
	return nil
}
