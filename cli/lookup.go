package cli

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// lookup finds objects by the names that people give them.
type lookup struct {
	*kube.Cluster
	mapper    meta.RESTMapper
	namespace string // where an object is looked for that has no namespace of its own
}

// lookup connects. namespace is that of the flag; without it that of the context
// counts.
func (g *global) lookup(namespace string) (*lookup, error) {
	cluster, err := g.connect()
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfigAndClient(cluster.Config, cluster.HTTP)
	if err != nil {
		return nil, err
	}
	if namespace == "" {
		namespace = g.contextNamespace()
	}
	mapper := restmapper.NewShortcutExpander(cluster.Mapper(), memoryOnly{client}, nil)
	return &lookup{Cluster: cluster, mapper: mapper, namespace: namespace}, nil
}

// memoryOnly lets a command ask once: it does not live long enough to be stale.
type memoryOnly struct{ discovery.DiscoveryInterface }

// contextNamespace is the namespace of the kubeconfig's context.
func (g *global) contextNamespace() string {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = g.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: g.context}
	namespace, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).Namespace()
	if err != nil || namespace == "" {
		return metav1.NamespaceDefault
	}
	return namespace
}

// keys reads KIND/NAME..., or KIND NAME..., for objects of any kind.
func (l *lookup) keys(args []string) ([]kube.Key, error) {
	requests, err := l.requests(args)
	if err != nil {
		return nil, err
	}
	var out []kube.Key
	for _, r := range requests {
		if len(r.names) == 0 {
			return nil, usage(fmt.Errorf("%s: want KIND/NAME, such as kustomization/apps", strings.Join(args, " ")))
		}
		for _, name := range r.names {
			key, err := l.keyOf(r.kind, name)
			if err != nil {
				return nil, err
			}
			out = append(out, key)
		}
	}
	return out, nil
}

// List implements explain.Reader.
func (l *lookup) List(ctx context.Context, gvk schema.GroupVersionKind, namespace, selector string) ([]unstructured.Unstructured, error) {
	r, err := l.Resource(gvk, namespace)
	if err != nil {
		return nil, err
	}
	list, err := r.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}
