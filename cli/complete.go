package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
)

// completion is what cobra asks for what may come next.
type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeObjects offers what stands for objects: a kind, then names of the kind; or
// KIND/NAME. words are offered beside the kinds.
func (g *global) completeObjects(words ...string) completion {
	return func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		switch kind, _, typed := strings.Cut(text, "/"); {
		case typed:
			names := g.names(cmd, kind)
			for i, name := range names {
				names[i] = kind + "/" + name
			}
			return without(names, args), cobra.ShellCompDirectiveNoFileComp
		case len(args) == 0:
			return append(slices.Clone(words), kindNames()...), cobra.ShellCompDirectiveNoFileComp
		case strings.Contains(args[0], "/"):
			return slashed(kindNames()), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		default:
			return without(g.names(cmd, args[0]), args[1:]), cobra.ShellCompDirectiveNoFileComp
		}
	}
}

func slashed(kinds []string) []string {
	for i, kind := range kinds {
		kinds[i] = kind + "/"
	}
	return kinds
}

// without leaves out what was given already.
func without(offers, given []string) []string {
	return slices.DeleteFunc(offers, func(offer string) bool { return slices.Contains(given, offer) })
}

// names are the names of the objects of a kind; none when the cluster can't be
// asked, since a completion has no place for errors.
func (g *global) names(cmd *cobra.Command, kind string) []string {
	l, err := g.lookup(cmd.Flag("namespace").Value.String())
	if err != nil {
		return nil
	}
	gvk, err := l.kind(kind)
	if err != nil {
		return nil
	}
	return l.namesOf(cmd, gvk, l.namespace)
}

func (l *lookup) namesOf(cmd *cobra.Command, gvk schema.GroupVersionKind, namespace string) []string {
	objs, err := l.List(cmd.Context(), gvk, namespace, "")
	if err != nil {
		return nil
	}
	var names []string
	for _, obj := range objs {
		names = append(names, obj.GetName())
	}
	return names
}

// completeNamespaces offers the namespaces of the cluster.
func (g *global) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	l, err := g.lookup(metav1.NamespaceDefault)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return l.namesOf(cmd, schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, ""), cobra.ShellCompDirectiveNoFileComp
}

// completeContexts offers the contexts of the kubeconfig.
func (g *global) completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = g.kubeconfig
	config, err := rules.Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for name := range config.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
