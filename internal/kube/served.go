package kube

import (
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
)

// Served is what a cluster serves, in the words in which Helm's charts ask for it.
type Served struct {
	Version version.Info
	// APIs are "group/version" and "group/version/Kind", sorted.
	APIs []string
}

// served asks once, for all identities, until the mapping is reset.
type served struct {
	mu    sync.Mutex
	known *Served
}

// Served tells what the cluster serves. It is asked for by the first who wants to
// know, with two requests, and then kept until a definition comes or goes. Groups
// whose API service does not answer are left out.
func (c *Cluster) Served() (*Served, error) {
	c.mapping.served.mu.Lock()
	defer c.mapping.served.mu.Unlock()
	if known := c.mapping.served.known; known != nil {
		return known, nil
	}
	client, err := discovery.NewDiscoveryClientForConfigAndClient(c.Config, c.HTTP)
	if err != nil {
		return nil, err
	}
	info, err := client.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("ask for the cluster's version: %w", err)
	}
	known := &Served{Version: *info}
	if known.APIs, err = apis(client); err != nil {
		return nil, err
	}
	c.mapping.served.known = known
	return known, nil
}

func apis(client discovery.DiscoveryInterface) ([]string, error) {
	groups, resources, err := client.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("ask what the cluster serves: %w", err)
	}
	var out []string
	for _, group := range groups {
		for _, v := range group.Versions {
			out = append(out, v.GroupVersion)
		}
	}
	for _, list := range resources {
		for i := range list.APIResources {
			out = append(out, list.GroupVersion+"/"+list.APIResources[i].Kind)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
