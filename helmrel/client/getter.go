package client

import (
	"errors"

	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// Getter gives the SDK the connection, with what was discovered through it: under
// the account of the release, so that what templates look up is what that account
// may see.
type Getter struct {
	Cluster   *kube.Cluster
	Namespace string
}

var _ genericclioptions.RESTClientGetter = Getter{}

// ToRESTConfig implements genericclioptions.RESTClientGetter. Clients made from it
// share our connections, since they share the settings of the transport.
func (g Getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.Cluster.Config), nil }

// ToDiscoveryClient implements genericclioptions.RESTClientGetter.
func (g Getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(g.Cluster.Config, g.Cluster.HTTP)
	if err != nil {
		return nil, err
	}
	return memory.NewMemCacheClient(client), nil
}

// ToRESTMapper implements genericclioptions.RESTClientGetter.
func (g Getter) ToRESTMapper() (meta.RESTMapper, error) { return g.Cluster.Mapper(), nil }

// ToRawKubeConfigLoader implements genericclioptions.RESTClientGetter.
func (g Getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	overrides := &clientcmd.ConfigOverrides{Context: clientcmdapi.Context{Namespace: g.Namespace}}
	return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), overrides)
}

// Capabilities are what charts are told of the cluster. They are discovered once
// and shared by all releases, until a definition comes or goes.
func Capabilities(cluster *kube.Cluster) (*chartutil.Capabilities, error) {
	served, err := cluster.Served()
	if err != nil {
		return nil, err
	}
	if served.Version.GitVersion == "" {
		return nil, errors.New("the cluster does not tell its version")
	}
	out := chartutil.DefaultCapabilities.Copy()
	out.KubeVersion = chartutil.KubeVersion{Version: served.Version.GitVersion, Major: served.Version.Major, Minor: served.Version.Minor}
	out.APIVersions = served.APIs
	return out, nil
}
