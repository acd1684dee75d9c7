package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig/flags"
	"github.com/plumb-gitops/plumb/internal/kube"
)

type configDelete struct {
	target
	configWait
	force, yes bool
}

func newConfigDelete(g *global) *cobra.Command {
	var f configDelete
	cmd := &cobra.Command{
		Use:   "delete -n NAME",
		Short: "Delete a FluxConfig, and what its kustomizations that prune have applied",
		Long: `Deletes a FluxConfig and waits until the engine has taken down what it stands
for: kustomizations in reverse dependency order, then the rest. What a
kustomization that prunes has applied goes with it; --force leaves it.`,
		Example: "  plumb config delete -n cluster-config\n  plumb config delete -n cluster-config --force --yes",
		Args:    noArgs,
	}
	alsoNamed(cmd, nil)
	f.target.add(g, cmd, true, "")
	f.configWait.add(cmd, false)
	cmd.Flags().BoolVar(&f.force, "force", false, "leave in the cluster what was applied")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(true); err != nil {
			return err
		}
		return f.run(cmd.Context(), g, cmd.InOrStdin())
	}
	return cmd
}

func (f *configDelete) check(named bool) error { return f.target.check(named) }

func (f *configDelete) run(ctx context.Context, g *global, in io.Reader) error {
	cluster, err := g.connect()
	if err != nil {
		return err
	}
	fc, err := f.find(ctx, cluster, g)
	if err != nil {
		return err
	}
	if fc == nil {
		fmt.Fprintf(g.err, "plumb: note: there is no FluxConfig %s, so there is nothing to delete\n", f.name)
		return nil
	}
	if err := g.agree(in, f.yes, f.doubts(fc)); err != nil {
		return err
	}
	if err := f.remove(context.WithoutCancel(ctx), cluster, fc); err != nil {
		return err
	}
	if f.not {
		fmt.Fprintf(g.out, "%s is being deleted\n", configKey(fc))
		return nil
	}
	err = f.until(ctx, g, cluster, configKey(fc), func(now *clusterconfigv1.FluxConfig) (bool, error) { return now == nil || now.UID != fc.UID, nil })
	if err == nil {
		fmt.Fprintf(g.out, "%s deleted\n", configKey(fc))
	}
	return err
}

// doubts are what there is to agree to.
func (f *configDelete) doubts(fc *clusterconfigv1.FluxConfig) []string {
	out := []string{fmt.Sprintf("%s is deleted", configKey(fc))}
	if names := flags.Pruning(fc); len(names) > 0 && !f.force && !fc.Spec.Suspend {
		out = append(out, flags.Loss(fc, names...))
	}
	return out
}

// remove deletes a configuration if it still is the one that was looked at. That it
// is by force is written first: whoever sees the deletion sees this as well. A
// crash in between leaves a wish that only counts once it is deleted.
func (f *configDelete) remove(ctx context.Context, cluster *kube.Cluster, fc *clusterconfigv1.FluxConfig) error {
	if f.force {
		s := newConfigStore(nil, cluster, nil, true)
		body := map[string]any{"metadata": map[string]any{"uid": string(fc.UID), "annotations": map[string]any{clusterconfigv1.ForceDeleteAnnotation: "true"}}}
		if _, err := s.merge(ctx, fluxConfigKind, fc.Namespace, fc.Name, body); err != nil {
			return err
		}
	}
	if _, err := cluster.Delete(ctx, configKey(fc), fc.UID, ""); err != nil {
		return fmt.Errorf("%s: %w", configKey(fc), err)
	}
	return nil
}
