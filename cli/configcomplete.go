package cli

import (
	"slices"

	"github.com/spf13/cobra"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// completeConfigs offers the names of the configurations that there are.
func (g *global) completeConfigs(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return g.offered(cmd, func(fc clusterconfigv1.FluxConfig) []string { return []string{fc.Name} })
}

// completeKustomizations offers the kustomizations of the configuration.
func (g *global) completeKustomizations(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return g.offered(cmd, func(fc clusterconfigv1.FluxConfig) (names []string) {
		for _, k := range fc.Spec.Kustomizations {
			names = append(names, k.Name)
		}
		return names
	})
}

// completeObjectNames offers the objects of the configuration.
func (g *global) completeObjectNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return g.offered(cmd, func(fc clusterconfigv1.FluxConfig) (names []string) {
		for _, o := range fc.Status.Statuses {
			names = append(names, o.Name)
		}
		return names
	})
}

// offered are names out of the configurations that the command line means so far;
// none when the cluster can't be asked, since a completion has no place for errors.
func (g *global) offered(cmd *cobra.Command, of func(clusterconfigv1.FluxConfig) []string) ([]string, cobra.ShellCompDirective) {
	t := target{name: cmd.Flag("name").Value.String()}
	if flag := cmd.Flag("namespace"); flag.Changed {
		t.namespace = flag.Value.String()
	}
	cluster, err := g.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, err := t.configs(cmd.Context(), cluster)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, fc := range found {
		names = append(names, of(fc)...)
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}
