package kube

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// RemoteOptions say what a kubeconfig out of a Secret may ask for. Whoever may
// write the Secret is not whoever runs this process, so by default nothing of
// this machine can be reached through it.
type RemoteOptions struct {
	AllowExec     bool // run programs to get credentials
	AllowInsecure bool // leave out the verification of the server's certificate
	UserAgent     string
}

// RemoteConfig is the connection that a kubeconfig describes. The error says
// which part cannot be used, and never holds a credential.
func RemoteConfig(kubeconfig []byte, o RemoteOptions) (*rest.Config, error) {
	loaded, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, errors.New("it is not a kubeconfig")
	}
	if err := harmless(loaded, o); err != nil {
		return nil, err
	}
	config, err := clientcmd.NewDefaultClientConfig(*loaded, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("its context %q leads to no cluster", loaded.CurrentContext)
	}
	tune(config, o.UserAgent)
	return config, nil
}

// harmless refuses what would run programs, read files or trust anybody.
func harmless(config *clientcmdapi.Config, o RemoteOptions) error {
	var problems []string
	for name, user := range config.AuthInfos {
		if user.Exec != nil && !o.AllowExec {
			problems = append(problems, fmt.Sprintf("user %s runs a program (allow it with --insecure-kubeconfig-exec)", name))
		}
		if user.AuthProvider != nil {
			problems = append(problems, fmt.Sprintf("user %s needs an auth provider, which Kubernetes has removed", name))
		}
		if user.TokenFile != "" || user.ClientCertificate != "" || user.ClientKey != "" {
			problems = append(problems, fmt.Sprintf("user %s names files: put their content into the kubeconfig", name))
		}
	}
	for name, cluster := range config.Clusters {
		if cluster.CertificateAuthority != "" {
			problems = append(problems, fmt.Sprintf("cluster %s names a file: put its content into the kubeconfig", name))
		}
		if cluster.InsecureSkipTLSVerify && !o.AllowInsecure {
			problems = append(problems, fmt.Sprintf("cluster %s skips the verification of certificates (allow it with --insecure-kubeconfig-tls)", name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return errors.New(strings.Join(problems, "; "))
}

// TokenConfig is the connection to a cluster that takes bearer tokens: address
// is the URL of its API server, ca its authority in PEM. Each request asks token.
func TokenConfig(address string, ca []byte, token func() (string, error), o RemoteOptions) *rest.Config {
	config := &rest.Config{Host: address, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
	tune(config, o.UserAgent)
	config.Wrap(bearing(token))
	return config
}
