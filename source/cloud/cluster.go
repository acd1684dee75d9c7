package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// azureKubernetes is the application whose tokens every AKS cluster accepts
// (Azure, "Use Azure RBAC for Kubernetes authorization").
const azureKubernetes = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"

// ClusterToken gives tokens for the API server of a managed cluster: provider is
// azure, aws or gcp; cluster names it as the provider does, which only aws needs
// (arn:aws:eks:REGION:ACCOUNT:cluster/NAME).
func ClusterToken(ctx context.Context, provider, cluster string, o Options) (func(context.Context) (string, error), error) {
	switch provider {
	case "azure":
		credential, err := AzureCredential(o)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (string, error) {
			token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureKubernetes}})
			return token.Token, err
		}, nil
	case "gcp":
		source, err := GCPToken(ctx, o)
		if err != nil {
			return nil, err
		}
		return func(context.Context) (string, error) {
			token, err := source.Token()
			if err != nil {
				return "", err
			}
			return token.AccessToken, nil
		}, nil
	case "aws":
		return eks(ctx, cluster, o)
	default:
		return nil, fmt.Errorf("there is no provider %q: want aws, azure, gcp or generic", provider)
	}
}

// eks signs a request to AWS that the cluster makes to find out who we are, which
// is what it takes for a token (aws-iam-authenticator, "API Authorization from
// Outside a Cluster").
func eks(ctx context.Context, cluster string, o Options) (func(context.Context) (string, error), error) {
	parts := strings.SplitN(cluster, ":", 6)
	if len(parts) != 6 || parts[2] != "eks" || !strings.HasPrefix(parts[5], "cluster/") {
		return nil, fmt.Errorf("cluster %q is no ARN of the form arn:aws:eks:REGION:ACCOUNT:cluster/NAME", cluster)
	}
	o.Region = parts[3]
	credentials, err := AWSCredentials(ctx, o)
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(parts[5], "cluster/")
	return func(ctx context.Context) (string, error) {
		values, err := credentials.Retrieve(ctx)
		if err != nil {
			return "", err
		}
		query := url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}, "X-Amz-Expires": {"60"}}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://sts."+o.Region+".amazonaws.com/?"+query.Encode(), nil)
		if err != nil {
			return "", err
		}
		request.Header.Set("x-k8s-aws-id", name)
		nothing := sha256.Sum256(nil)
		signed, _, err := v4.NewSigner().PresignHTTP(ctx, values, request, hex.EncodeToString(nothing[:]), "sts", o.Region, time.Now())
		if err != nil {
			return "", err
		}
		return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(signed)), nil
	}, nil
}
