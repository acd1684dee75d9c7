package cloud

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"sigs.k8s.io/yaml"
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

// azureManagement is the service that knows Azure's clusters.
const azureManagement = "https://management.azure.com"

// AzureCluster asks Azure where the API server of an AKS cluster is, and who signed its
// certificate. cluster is its resource id,
// /subscriptions/S/resourceGroups/G/providers/Microsoft.ContainerService/managedClusters/NAME;
// the identity has to be allowed to list the credentials of its users (Azure REST API,
// "Managed Clusters - List Cluster User Credentials").
func AzureCluster(ctx context.Context, cluster string, o Options) (address string, ca []byte, err error) {
	if !strings.HasPrefix(cluster, "/subscriptions/") || !strings.Contains(strings.ToLower(cluster), "/managedclusters/") {
		return "", nil, fmt.Errorf("cluster %q is no resource id of the form /subscriptions/ID/resourceGroups/NAME/providers/Microsoft.ContainerService/managedClusters/NAME", cluster)
	}
	credential, err := AzureCredential(o)
	if err != nil {
		return "", nil, err
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureManagement + "/.default"}})
	if err != nil {
		return "", nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, cmp.Or(o.AzureManagement, azureManagement)+cluster+"/listClusterUserCredential?api-version=2024-05-01", http.NoBody)
	if err != nil {
		return "", nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token.Token)
	response, err := o.client().Do(request)
	if err != nil {
		return "", nil, fmt.Errorf("cluster %s: %w", cluster, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("cluster %s: Azure answers with status %d: check the id, and that the identity has the role Azure Kubernetes Service Cluster User Role", cluster, response.StatusCode)
	}
	found := struct {
		Kubeconfigs []struct {
			Value []byte `json:"value"`
		} `json:"kubeconfigs"`
	}{}
	if err := json.NewDecoder(io.LimitReader(response.Body, largestAnswer)).Decode(&found); err != nil || len(found.Kubeconfigs) == 0 {
		return "", nil, fmt.Errorf("cluster %s: Azure gives no kubeconfig", cluster)
	}
	return whereabouts(cluster, found.Kubeconfigs[0].Value)
}

// largestAnswer bounds what is read of a provider's answer.
const largestAnswer = 1 << 20

// whereabouts are the address and the authority in a kubeconfig.
func whereabouts(cluster string, kubeconfig []byte) (address string, ca []byte, err error) {
	config := struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
	}{}
	if err := yaml.Unmarshal(kubeconfig, &config); err != nil || len(config.Clusters) == 0 || !strings.HasPrefix(config.Clusters[0].Cluster.Server, "https://") {
		return "", nil, fmt.Errorf("cluster %s: Azure gives a kubeconfig without an address", cluster)
	}
	return config.Clusters[0].Cluster.Server, config.Clusters[0].Cluster.CA, nil
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
