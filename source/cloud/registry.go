package cloud

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// RegistryLogin gives credentials for a provider's registry at host, and until when
// they hold: provider is aws (Elastic Container Registry), azure (Container
// Registry) or gcp (Artifact Registry).
func RegistryLogin(ctx context.Context, provider, host string, o Options) (username, password string, expires time.Time, err error) {
	switch provider {
	case "aws":
		return ecrLogin(ctx, host, o)
	case "azure":
		return acrLogin(ctx, host, o)
	case "gcp":
		source, err := GCPToken(ctx, o)
		if err != nil {
			return "", "", time.Time{}, err
		}
		token, err := source.Token()
		if err != nil {
			return "", "", time.Time{}, fmt.Errorf("Google Cloud gives no token for %s: %w", host, err)
		}
		return "oauth2accesstoken", token.AccessToken, token.Expiry, nil
	default:
		return "", "", time.Time{}, fmt.Errorf("there is no provider %q: want aws, azure, gcp or generic", provider)
	}
}

// ecrHost is the form of a registry's host at AWS (Amazon ECR User Guide, "Private
// registry authentication").
var ecrHost = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws)$`)

func ecrLogin(ctx context.Context, host string, o Options) (username, password string, expires time.Time, err error) {
	parts := ecrHost.FindStringSubmatch(host)
	if parts == nil {
		return "", "", expires, fmt.Errorf("%s is no host of Amazon's registries: want ACCOUNT.dkr.ecr.REGION.amazonaws.com, or another provider", host)
	}
	o.Region = parts[2]
	credentials, err := AWSCredentials(ctx, o)
	if err != nil {
		return "", "", expires, err
	}
	client := ecr.New(ecr.Options{Region: o.Region, Credentials: credentials, HTTPClient: o.client()}, func(e *ecr.Options) {
		if o.AWSEndpoint != "" {
			e.BaseEndpoint = &o.AWSEndpoint
		}
	})
	answer, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", "", expires, fmt.Errorf("Amazon gives no token for %s: %w", host, err)
	}
	for _, data := range answer.AuthorizationData {
		if data.AuthorizationToken == nil || data.ExpiresAt == nil {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
		user, secret, ok := strings.Cut(string(raw), ":")
		if err == nil && ok {
			return user, secret, *data.ExpiresAt, nil
		}
	}
	return "", "", expires, fmt.Errorf("Amazon's answer holds no token for %s", host)
}

// Whom a token for Azure's registries is for, the user name that goes with one, and
// how long it holds at least (Azure Container Registry, "Azure AD OAuth endpoints").
const (
	acrScope = "https://containerregistry.azure.net/.default"
	acrUser  = "00000000-0000-0000-0000-000000000000"
	acrHolds = time.Hour
)

// acrLogin exchanges a token of Microsoft Entra ID for one of the registry.
func acrLogin(ctx context.Context, host string, o Options) (username, password string, expires time.Time, err error) {
	credential, err := AzureCredential(o)
	if err != nil {
		return "", "", expires, err
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{acrScope}})
	if err != nil {
		return "", "", expires, fmt.Errorf("Azure gives no token for %s: %w", host, err)
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {token.Token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", expires, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := o.client().Do(request)
	if err != nil {
		return "", "", expires, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", "", expires, fmt.Errorf("%s refuses the identity with status %d: it needs the role AcrPull", host, response.StatusCode)
	}
	var answer struct {
		Token string `json:"refresh_token"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, response.Body, 1<<20)).Decode(&answer); err != nil || answer.Token == "" {
		return "", "", expires, errors.New(host + ": the answer holds no token")
	}
	return acrUser, answer.Token, time.Now().Add(acrHolds), nil
}
