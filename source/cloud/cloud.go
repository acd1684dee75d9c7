// Package cloud gives credentials of cloud providers: those of the environment
// and of the machine, or by workload identity those that a provider gives for a
// token of a Kubernetes service account. No secret is stored anywhere for that.
package cloud

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azurecloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/google/externalaccount"
)

// ServiceAccount is an account of a cluster whose tokens a provider trusts.
type ServiceAccount struct {
	Namespace, Name string
	Annotations     map[string]string
	// Token asks the cluster for a token that the audience accepts.
	Token func(ctx context.Context, audience string) (string, error)
}

// The annotations that say who a service account is at a provider, as the
// providers' own webhooks and the toolkit read them.
const (
	azureClient     = "azure.workload.identity/client-id"
	azureTenant     = "azure.workload.identity/tenant-id"
	awsRole         = "eks.amazonaws.com/role-arn"
	gcpProvider     = "gcp.auth.fluxcd.io/workload-identity-provider"
	gcpAccount      = "iam.gke.io/gcp-service-account"
	azureAudience   = "api://AzureADTokenExchange"
	awsAudience     = "sts.amazonaws.com"
	gcpTokenURL     = "https://sts.googleapis.com/v1/token"
	gcpScope        = "https://www.googleapis.com/auth/cloud-platform"
	gcpImpersonate  = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
	gcpAudienceHost = "//iam.googleapis.com/"
)

// Options say whose credentials are wanted. The endpoints are the providers' own
// unless tests put a local one in their place.
type Options struct {
	ServiceAccount *ServiceAccount // nil for the environment and the machine
	Region         string          // of AWS
	HTTP           *http.Client
	AzureAuthority string
	// AzureManagement stands in for the service that knows Azure's clusters.
	AzureManagement string
	AWSEndpoint     string
	KubeletFile     string // instead of that of KubeletIdentityVariable
	GCPTokenURL     string
}

func (o Options) client() *http.Client {
	if o.HTTP == nil {
		return http.DefaultClient
	}
	return o.HTTP
}

// AzureCredential is a credential for Microsoft Entra ID.
func AzureCredential(o Options) (azcore.TokenCredential, error) {
	options := o.azureClient()
	if file := cmp.Or(o.KubeletFile, os.Getenv(KubeletIdentityVariable)); file != "" && o.ServiceAccount == nil {
		return kubelet(file).Credential(o)
	}
	if o.ServiceAccount == nil {
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: o.AzureAuthority != "",
		})
	}
	client, tenant := o.ServiceAccount.Annotations[azureClient], o.ServiceAccount.Annotations[azureTenant]
	if client == "" || tenant == "" {
		return nil, o.ServiceAccount.lacks(azureClient, azureTenant)
	}
	assertion := func(ctx context.Context) (string, error) { return o.ServiceAccount.Token(ctx, azureAudience) }
	return azidentity.NewClientAssertionCredential(tenant, client, assertion, &azidentity.ClientAssertionCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: o.AzureAuthority != "",
	})
}

// azureClient is how requests for tokens are made.
func (o Options) azureClient() azcore.ClientOptions {
	options := azcore.ClientOptions{Transport: o.client()}
	if o.AzureAuthority != "" {
		options.Cloud = azurecloud.Configuration{ActiveDirectoryAuthorityHost: o.AzureAuthority}
	}
	return options
}

// lacks says which annotations a service account needs.
func (s *ServiceAccount) lacks(names ...string) error {
	return errors.New("ServiceAccount/" + s.Namespace + "/" + s.Name + " lacks the annotations " + strings.Join(names, " and "))
}

// AWSCredentials are credentials for AWS.
func AWSCredentials(ctx context.Context, o Options) (aws.CredentialsProvider, error) {
	if o.ServiceAccount == nil {
		base, err := config.LoadDefaultConfig(ctx, config.WithRegion(o.Region), config.WithWebIdentityRoleCredentialOptions(func(w *stscreds.WebIdentityRoleOptions) {
			if o.AWSEndpoint != "" {
				w.Client = o.sts()
			}
		}))
		return base.Credentials, err
	}
	role := o.ServiceAccount.Annotations[awsRole]
	if role == "" {
		return nil, o.ServiceAccount.lacks(awsRole)
	}
	return aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(o.sts(), role, identity{ctx, o.ServiceAccount})), nil
}

// sts is the service that trades tokens for credentials.
func (o Options) sts() *sts.Client {
	return sts.New(sts.Options{Region: cmp.Or(o.Region, "us-east-1"), HTTPClient: o.client()}, func(s *sts.Options) {
		if o.AWSEndpoint != "" {
			s.BaseEndpoint = &o.AWSEndpoint
		}
	})
}

// identity hands the account's token to AWS. The SDK asks without a context.
type identity struct {
	ctx     context.Context
	account *ServiceAccount
}

// GetIdentityToken implements stscreds.IdentityTokenRetriever.
func (i identity) GetIdentityToken() ([]byte, error) {
	token, err := i.account.Token(i.ctx, awsAudience)
	return []byte(token), err
}

// GCPToken is a source of tokens for Google Cloud.
func GCPToken(ctx context.Context, o Options) (oauth2.TokenSource, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, o.client())
	if o.ServiceAccount == nil {
		return google.DefaultTokenSource(ctx, gcpScope)
	}
	provider := o.ServiceAccount.Annotations[gcpProvider]
	if provider == "" {
		return nil, o.ServiceAccount.lacks(gcpProvider)
	}
	c := externalaccount.Config{
		Audience:             gcpAudienceHost + strings.TrimPrefix(provider, gcpAudienceHost),
		SubjectTokenType:     "urn:ietf:params:oauth:token-type:jwt",
		TokenURL:             gcpTokenURL,
		Scopes:               []string{gcpScope},
		SubjectTokenSupplier: subject{o.ServiceAccount, gcpAudienceHost + strings.TrimPrefix(provider, gcpAudienceHost)},
	}
	if o.GCPTokenURL != "" {
		c.TokenURL = o.GCPTokenURL
	}
	if account := o.ServiceAccount.Annotations[gcpAccount]; account != "" {
		c.ServiceAccountImpersonationURL = gcpImpersonate + account + ":generateAccessToken"
	}
	return externalaccount.NewTokenSource(ctx, c)
}

// subject hands the account's token to Google.
type subject struct {
	account  *ServiceAccount
	audience string
}

// SubjectToken implements externalaccount.SubjectTokenSupplier.
func (s subject) SubjectToken(ctx context.Context, _ externalaccount.SupplierOptions) (string, error) {
	return s.account.Token(ctx, s.audience)
}
