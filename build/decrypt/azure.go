package decrypt

import (
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"sigs.k8s.io/yaml"
)

// azureConfig is the content of sops.azure-kv: fields as the toolkit names them,
// and those of azure.json for a service principal.
type azureConfig struct {
	Authority   string `json:"authorityHost"`
	Tenant      string `json:"tenantId"`
	Client      string `json:"clientId"`
	Secret      string `json:"clientSecret"`
	Certificate string `json:"clientCertificate"`
	Password    string `json:"clientCertificatePassword"`
	SendChain   bool   `json:"clientCertificateSendChain"`
	TenantOld   string `json:"tenant"`
	ClientOld   string `json:"appId"`
	PasswordOld string `json:"password"`
}

func (k *Keys) addAzure(content []byte) error {
	c := azureConfig{}
	if err := yaml.Unmarshal(content, &c); err != nil {
		return errors.New("it is no YAML with tenantId, clientId and clientSecret")
	}
	credential, err := c.credential()
	if err != nil {
		return err
	}
	k.azure = credential
	return nil
}

func (c azureConfig) credential() (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{}
	if c.Authority != "" {
		options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: c.Authority}
	}
	switch {
	case c.Tenant != "" && c.Client != "" && c.Secret != "":
		return azidentity.NewClientSecretCredential(c.Tenant, c.Client, c.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	case c.TenantOld != "" && c.ClientOld != "" && c.PasswordOld != "":
		return azidentity.NewClientSecretCredential(c.TenantOld, c.ClientOld, c.PasswordOld, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	case c.Tenant != "" && c.Client != "" && c.Certificate != "":
		certs, key, err := azidentity.ParseCertificates([]byte(c.Certificate), []byte(c.Password))
		if err != nil {
			return nil, errors.New("clientCertificate is no certificate with its key in PEM or PKCS#12")
		}
		return azidentity.NewClientCertificateCredential(c.Tenant, c.Client, certs, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: options, SendCertificateChain: c.SendChain})
	case c.Client != "":
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: azidentity.ClientID(c.Client)})
	default:
		return nil, errors.New("it has neither tenantId, clientId and clientSecret or clientCertificate, nor the clientId of a managed identity")
	}
}
