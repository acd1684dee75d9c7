package fluxconfig

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// blob is a Bucket of the provider azure: a container of Azure Blob Storage.
func (g *generation) blob(b *clusterconfigv1.AzureBlobDefinition) (*unstructured.Unstructured, error) {
	spec := map[string]any{"provider": azure, "endpoint": b.URL, "bucketName": b.ContainerName}
	setTrue(spec, "insecure", strings.HasPrefix(b.URL, "http://"))
	g.asIdentity(spec, b.Access)
	var data map[string][]byte
	if b.LocalAuthRef == "" {
		var err error
		if data, err = g.blobAuth(b); err != nil {
			return nil, err
		}
	}
	g.authenticate(spec, b.Access, data)
	return g.finish(clusterconfigv1.BucketSource, spec, b.Timing, b.AdditionalConfigurations)
}

// blobAuth is the one way in that is given, in the keys of a Bucket's Secret.
func (g *generation) blobAuth(b *clusterconfigv1.AzureBlobDefinition) (map[string][]byte, error) {
	ways := map[string]map[string][]byte{}
	if key := g.in.Protected[clusterconfigv1.AccountKey]; len(key) > 0 {
		ways["the protected parameter accountKey"] = map[string][]byte{"accountKey": key}
	}
	if token := g.in.Protected[clusterconfigv1.SASToken]; len(token) > 0 {
		ways["the protected parameter sasToken"] = map[string][]byte{"sasKey": token}
	}
	if b.ManagedIdentity != nil {
		ways["managedIdentity"] = map[string][]byte{"clientId": []byte(b.ManagedIdentity.ClientID)}
	}
	if b.ObjectLevelIdentity != nil {
		ways["objectLevelIdentity"] = nil
	}
	if b.ServicePrincipal != nil {
		data, err := g.principal(b.ServicePrincipal)
		if err != nil {
			return nil, err
		}
		ways["servicePrincipal"] = data
	}
	if len(ways) > 1 {
		return nil, g.invalid("azureBlob: give one way in instead of %s", strings.Join(slices.Sorted(maps.Keys(ways)), ", "))
	}
	for _, data := range ways {
		return data, nil
	}
	return nil, nil
}

func (g *generation) principal(p *clusterconfigv1.ServicePrincipal) (map[string][]byte, error) {
	data := map[string][]byte{"tenantId": []byte(p.TenantID), "clientId": []byte(p.ClientID)}
	secret, certificate := g.in.Protected[clusterconfigv1.ClientSecret], g.in.Protected[clusterconfigv1.ClientCertificate]
	switch {
	case (len(secret) > 0) == (len(certificate) > 0):
		return nil, g.invalid("azureBlob.servicePrincipal: give one of the protected parameters %s and %s", clusterconfigv1.ClientSecret, clusterconfigv1.ClientCertificate)
	case len(secret) > 0:
		data["clientSecret"] = secret
		return data, nil
	}
	data["clientCertificate"] = certificate
	if password := g.in.Protected[clusterconfigv1.ClientCertificatePassword]; len(password) > 0 {
		data["clientCertificatePassword"] = password
	}
	if p.ClientCertificateSendChain {
		data["clientCertificateSendChain"] = []byte("true")
	}
	return data, nil
}
