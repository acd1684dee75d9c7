package kube

import (
	"fmt"
	"net/http"
	"runtime"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// inFlight bounds how many requests of ours a cluster has to answer at once.
// Watches don't count.
const inFlight = 64

// LoadConfig finds the cluster as kubectl does: the given file, else
// $KUBECONFIG, else ~/.kube/config, else the service account of the pod we run
// in. context chooses one of the file's, "" its current one.
func LoadConfig(file, context, version string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to talk to: %w; give --kubeconfig FILE or set KUBECONFIG", err)
	}
	tune(config, fmt.Sprintf("plumb/%s (%s/%s)", version, runtime.GOOS, runtime.GOARCH))
	return config, nil
}

// tune sets what holds for every connection of ours.
func tune(config *rest.Config, userAgent string) {
	config.UserAgent = userAgent
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // they are about our users' manifests, which we don't write
	gate := make(chan struct{}, inFlight)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next, gate} })
}

// bounded lets only so many requests through at once.
type bounded struct {
	next http.RoundTripper
	gate chan struct{}
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Has("watch") {
		return b.next.RoundTrip(r)
	}
	select {
	case b.gate <- struct{}{}:
	case <-r.Context().Done():
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it, also on errors
		}
		return nil, r.Context().Err()
	}
	defer func() { <-b.gate }()
	return b.next.RoundTrip(r)
}

func rawConfig(config *rest.Config) *rest.Config {
	raw := dynamic.ConfigFor(config)
	raw.GroupVersion = nil
	return raw
}
