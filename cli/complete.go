package cli

import (
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ourKinds are the kinds that commands offer for completion.
var ourKinds = []string{"kustomization", "gitrepository", "helmrelease", "bucket", "ocirepository", "helmrepository", "helmchart", "externalartifact", "fluxconfig"}

// completeKinds offers kinds, then the names of objects of the kind.
func (g *global) completeKinds(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return ourKinds, cobra.ShellCompDirectiveNoFileComp
	}
	return g.names(cmd, args[0]), cobra.ShellCompDirectiveNoFileComp
}

// completeObjects offers KIND/NAME.
func (g *global) completeObjects(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	kind, _, ok := strings.Cut(text, "/")
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if !ok {
		offers := make([]string, len(ourKinds))
		for i, kind := range ourKinds {
			offers[i] = kind + "/"
		}
		return offers, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	names := g.names(cmd, kind)
	for i, name := range names {
		names[i] = kind + "/" + name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
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
	resource, err := l.Resource(gvk, l.namespace)
	if err != nil {
		return nil
	}
	list, err := resource.List(cmd.Context(), metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var names []string
	for _, obj := range list.Items {
		names = append(names, obj.GetName())
	}
	return names
}
