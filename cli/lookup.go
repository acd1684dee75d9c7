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
	"sigs.k8s.io/cli-utils/pkg/object"

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

// kind finds a kind by its name, plural, short name, or any of them with a group
// ("deployments.apps").
func (l *lookup) kind(name string) (schema.GroupVersionKind, error) {
	full, short := schema.ParseResourceArg(strings.ToLower(name))
	gvk, err := l.mapper.KindFor(short.WithVersion(""))
	if err != nil && full != nil { // "kustomizations.v1beta2.kustomize.toolkit.fluxcd.io"
		gvk, err = l.mapper.KindFor(*full)
	}
	if err != nil {
		return schema.GroupVersionKind{}, usage(fmt.Errorf("the cluster knows no kind %q: see kubectl api-resources", name))
	}
	return gvk, nil
}

// key reads KIND/NAME, or KIND and NAME as two arguments.
func (l *lookup) key(args []string) (kube.Key, error) {
	text := strings.Join(args, "/")
	kind, name, ok := strings.Cut(text, "/")
	if !ok || kind == "" || name == "" || strings.Contains(name, "/") {
		return kube.Key{}, usage(fmt.Errorf("%q: want KIND/NAME, such as kustomization/apps", text))
	}
	gvk, err := l.kind(kind)
	if err != nil {
		return kube.Key{}, err
	}
	m, err := l.Mapping(gvk)
	if err != nil {
		return kube.Key{}, err
	}
	key := kube.Key{ObjMetadata: object.ObjMetadata{Name: name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		key.Namespace = l.namespace
	}
	return key, nil
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
