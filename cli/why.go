package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/plumb-gitops/plumb/explain"
	"github.com/plumb-gitops/plumb/internal/kube"
)

func newWhy(g *global) *cobra.Command {
	var namespace, output string
	cmd := &cobra.Command{
		Use:   "why KIND/NAME... | KIND NAME...",
		Short: "Say why objects are not ready",
		Long: `Prints the way from the source to the object: source, dependencies, build, apply, health.
The first step that is not done is what the rest waits for; behind it is why, down to
the event of a pod. The object is a FluxConfig, a Kustomization, a HelmRelease, a source, or
anything that a Kustomization or a HelmRelease applied.`,
		Example: `  plumb why kustomization/apps -n flux-system
  plumb why fluxconfig/cluster-config -n cluster-config
  plumb why deployment/web -n shop
  plumb why gitrepository/fleet -n flux-system -o json`,
		Args: objectArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return sayWhy(cmd.Context(), g, namespace, output, args)
		},
		ValidArgsFunction: g.completeObjects(),
	}
	objectFlags(g, cmd, &namespace, &output)
	return cmd
}

// objectArgs wants KIND/NAME, or KIND NAME, once or more.
func objectArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage(fmt.Errorf("%s: want KIND/NAME, such as kustomization/apps", cmd.CommandPath()))
	}
	return nil
}

// objectFlags are those of commands about single objects of any kind.
func objectFlags(g *global, cmd *cobra.Command, namespace, output *string) {
	namespaceFlag(g, cmd, namespace)
	outputFlag(cmd, output, textForms...)
}

// objects reads the arguments of a command about single objects of any kind.
func (g *global) objects(namespace, output string, args []string) (*lookup, []kube.Key, error) {
	if err := checkOutput(output, textForms); err != nil {
		return nil, nil, err
	}
	l, err := g.lookup(namespace)
	if err != nil {
		return nil, nil, err
	}
	keys, err := l.keys(args)
	return l, keys, err
}

// pointed says where an object of the name is that was not found.
func (l *lookup) pointed(ctx context.Context, key kube.Key, err error) error {
	if errors.Is(err, explain.ErrNotFound) {
		return l.notFound(ctx, key)
	}
	return err
}

// printEach prints what was found out about each object: one value as it is, several
// as a list.
func printEach[T any](out io.Writer, format string, values []T, text func(io.Writer, T) error) error {
	var value any = values
	if len(values) == 1 {
		value = values[0]
	}
	return printValue(out, format, value, func(out io.Writer) error {
		for i, v := range values {
			if i > 0 {
				fmt.Fprintln(out)
			}
			if err := text(out, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func sayWhy(ctx context.Context, g *global, namespace, output string, args []string) error {
	l, keys, err := g.objects(namespace, output, args)
	if err != nil {
		return err
	}
	chains, ready := make([]explain.Chain, len(keys)), true
	for i, key := range keys {
		if chains[i], err = explain.Why(ctx, l, key); err != nil {
			return l.pointed(ctx, key, err)
		}
		ready = ready && chains[i].Ready
	}
	if err := printEach(g.out, output, chains, printChain); err != nil {
		return err
	}
	if !ready {
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
	width := 0
	for _, s := range c.Steps {
		width = max(width, len(s.Stage))
	}
	for _, s := range c.Steps {
		fmt.Fprintf(out, "  %s %-*s %s", marks[s.State], width, s.Stage, s.Object)
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
