package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/plumb-gitops/plumb/explain"
)

func newWhy(g *global) *cobra.Command {
	var namespace, output string
	cmd := &cobra.Command{
		Use:   "why KIND/NAME",
		Short: "Say why an object is not ready",
		Long: `Prints the way from the source to the object: source, dependencies, build, apply, health.
The first step that is not done is what the rest waits for; behind it is why, down to
the event of a pod. The object is a Kustomization, a source, or anything that a
Kustomization applied.`,
		Example: `  plumb why kustomization/apps -n flux-system
  plumb why deployment/web -n shop
  plumb why gitrepository/fleet -n flux-system -o json`,
		Args: objectArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return sayWhy(cmd.Context(), g, namespace, output, args)
		},
		ValidArgsFunction: g.completeObjects,
	}
	objectFlags(cmd, &namespace, &output)
	return cmd
}

// objectArgs wants KIND/NAME, or KIND NAME.
func objectArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return usage(fmt.Errorf("%s: want KIND/NAME, such as kustomization/apps", cmd.CommandPath()))
	}
	return nil
}

// objectFlags are those of commands about one object.
func objectFlags(cmd *cobra.Command, namespace, output *string) {
	cmd.Flags().StringVarP(namespace, "namespace", "n", "", "namespace of the object (default: that of the kubeconfig's context)")
	cmd.Flags().StringVarP(output, "output", "o", "text", "text, json or yaml")
}

func sayWhy(ctx context.Context, g *global, namespace, output string, args []string) error {
	l, err := g.lookup(namespace)
	if err != nil {
		return err
	}
	key, err := l.key(args)
	if err != nil {
		return err
	}
	chain, err := explain.Why(ctx, l, key)
	if err != nil {
		return err
	}
	if err := printValue(g.out, output, chain, func(out io.Writer) error { return printChain(out, chain) }); err != nil {
		return err
	}
	if !chain.Ready {
		return &exitError{code: exitFailed}
	}
	return nil
}

// marks are what stands before a step.
var marks = map[explain.State]string{explain.Done: "✔", explain.Blocked: "✘", explain.Pending: "·"}

func printChain(out io.Writer, c explain.Chain) error {
	if c.Ready {
		fmt.Fprintf(out, "%s is ready\n", c.Object)
	} else {
		fmt.Fprintf(out, "%s is not ready: %s\n", c.Object, c.Blocker)
	}
	for _, s := range c.Steps {
		fmt.Fprintf(out, "  %s %-10s %s", marks[s.State], s.Stage, s.Object)
		if s.Message != "" {
			fmt.Fprintf(out, ": %s", s.Message)
		}
		fmt.Fprintln(out)
		for _, line := range s.Because {
			fmt.Fprintf(out, "      because %s\n", line)
		}
	}
	return nil
}
