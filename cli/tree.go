package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/plumb-gitops/plumb/explain"
)

func newTree(g *global) *cobra.Command {
	var namespace, output string
	var pods bool
	cmd := &cobra.Command{
		Use:   "tree KIND/NAME... | KIND NAME...",
		Short: "Show what an object brought to the cluster",
		Long: `Prints a FluxConfig with its source and its Kustomizations, a Kustomization or a HelmRelease
with all that it applied, those among that included, and how each is.`,
		Example: `  plumb tree kustomization/flux-system -n flux-system
  plumb tree fluxconfig/cluster-config -n cluster-config --pods
  plumb tree ks/apps -o json
  plumb tree hr/podinfo -n apps`,
		Args: objectArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return showTree(cmd.Context(), g, namespace, output, pods, args)
		},
		ValidArgsFunction: g.completeObjects(),
	}
	objectFlags(g, cmd, &namespace, &output)
	cmd.Flags().BoolVar(&pods, "pods", false, "show the pods of workloads, too")
	return cmd
}

func showTree(ctx context.Context, g *global, namespace, output string, pods bool, args []string) error {
	l, keys, err := g.objects(namespace, output, args)
	if err != nil {
		return err
	}
	roots := make([]explain.Node, len(keys))
	for i, key := range keys {
		if roots[i], err = explain.Tree(ctx, l, key, pods); err != nil {
			return l.pointed(ctx, key, err)
		}
	}
	return printEach(g.out, output, roots, func(out io.Writer, root explain.Node) error {
		printNode(out, root, "", "")
		return nil
	})
}

// printNode prints a node behind its branch, and its children below.
func printNode(out io.Writer, n explain.Node, branch, indent string) {
	fmt.Fprintf(out, "%s%s  %s", branch, n.Object, n.Status)
	if n.Suspended {
		fmt.Fprint(out, " (suspended)")
	}
	if n.Status != "Current" && n.Message != "" {
		fmt.Fprintf(out, ": %s", n.Message)
	}
	fmt.Fprintln(out)
	for i, child := range n.Children {
		if i == len(n.Children)-1 {
			printNode(out, child, indent+"└── ", indent+"    ")
		} else {
			printNode(out, child, indent+"├── ", indent+"│   ")
		}
	}
}
