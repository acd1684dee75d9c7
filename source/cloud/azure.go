package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azurecloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/plumb-gitops/plumb/source"
)

// AzureIdentity is an identity of Microsoft Entra ID that a Secret describes: a
// service principal with a secret or a certificate, or a managed identity.
type AzureIdentity struct {
	TenantID, ClientID  string
	ClientSecret        string
	Certificate         []byte // with its key, in PEM or PKCS#12
	CertificatePassword []byte
	SendChain           bool   // so that the issuer's name is enough to let us in
	ResourceID          string // of a managed identity, instead of ClientID
	AuthorityHost       string // URL; "" for the public cloud
}

// AzureIdentityFromSecret reads an identity from the data of a Secret; ok is false if
// there is none in it. The error is a *source.InvalidError that names the keys.
func AzureIdentityFromSecret(data map[string][]byte) (id AzureIdentity, ok bool, err error) {
	id = AzureIdentity{
		TenantID: string(data["tenantId"]), ClientID: string(data["clientId"]), ClientSecret: string(data["clientSecret"]),
		Certificate: data["clientCertificate"], CertificatePassword: data["clientCertificatePassword"],
		ResourceID: string(data["resourceId"]), AuthorityHost: string(data["authorityHost"]),
	}
	chain := string(data["clientCertificateSendChain"])
	id.SendChain = chain == "1" || chain == "true"
	principal := id.ClientSecret != "" || len(id.Certificate) > 0
	switch {
	case principal && (id.TenantID == "" || id.ClientID == ""):
		return id, true, azureInvalid("clientSecret and clientCertificate need the keys tenantId and clientId beside them")
	case id.TenantID != "" && !principal:
		return id, true, azureInvalid("tenantId needs the keys clientId, and clientSecret or clientCertificate beside it")
	case len(id.Certificate) > 0 && id.ClientSecret == "":
		_, _, err := azidentity.ParseCertificates(id.Certificate, id.CertificatePassword)
		if err != nil {
			return id, true, azureInvalid("clientCertificate is no certificate with its key in PEM or PKCS#12, or clientCertificatePassword is another")
		}
	}
	return id, principal || id.ClientID != "" || id.ResourceID != "", nil
}

// Credential gives tokens for the identity; o says how to reach who gives them.
func (id AzureIdentity) Credential(o Options) (azcore.TokenCredential, error) {
	client := o.azureClient()
	if id.AuthorityHost != "" {
		client.Cloud = azurecloud.Configuration{ActiveDirectoryAuthorityHost: id.AuthorityHost}
	}
	elsewhere := client.Cloud.ActiveDirectoryAuthorityHost != ""
	switch {
	case id.ClientSecret != "":
		return azidentity.NewClientSecretCredential(id.TenantID, id.ClientID, id.ClientSecret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: client, DisableInstanceDiscovery: elsewhere,
		})
	case len(id.Certificate) > 0:
		certificates, key, err := azidentity.ParseCertificates(id.Certificate, id.CertificatePassword)
		if err != nil {
			return nil, azureInvalid("clientCertificate cannot be read")
		}
		return azidentity.NewClientCertificateCredential(id.TenantID, id.ClientID, certificates, key, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: client, DisableInstanceDiscovery: elsewhere, SendCertificateChain: id.SendChain,
		})
	}
	managed := azidentity.ManagedIdentityCredentialOptions{ClientOptions: client}
	switch {
	case id.ClientID != "":
		managed.ID = azidentity.ClientID(id.ClientID)
	case id.ResourceID != "":
		managed.ID = azidentity.ResourceID(id.ResourceID)
	}
	return azidentity.NewManagedIdentityCredential(&managed)
}

// KubeletIdentityVariable is the environment variable that makes the machine's
// identity at Azure that of the kubelet, and no other. Its value is the file with
// which the node tells who that is: /etc/kubernetes/azure.json.
const KubeletIdentityVariable = "PLUMB_KUBELET_IDENTITY"

// kubelet is the identity of the kubelet, as AKS notes it on each node. Where the
// file is not to be read the machine is asked for the only one that it has.
func kubelet(file string) AzureIdentity {
	var node struct {
		ClientID string `json:"userAssignedIdentityID"`
	}
	if content, err := os.ReadFile(file); err != nil || json.Unmarshal(content, &node) != nil {
		return AzureIdentity{}
	}
	return AzureIdentity{ClientID: node.ClientID}
}

// azureCode is how Microsoft Entra ID numbers its errors.
var azureCode = regexp.MustCompile(`AADSTS[0-9]+`)

// AzureRefusal words an error of a credential. Its own text holds the whole answer,
// with identifiers that differ each time; of that the number of the error stays.
func AzureRefusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := "Azure gives no token for the identity"
	if code := azureCode.FindString(err.Error()); code != "" {
		text += " (" + code + ")"
	}
	return &source.AuthError{Err: errors.New(text + ": check the identity and its credentials")}
}

func azureInvalid(text string) error { return &source.InvalidError{Err: errors.New(text)} }
