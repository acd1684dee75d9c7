package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
)

type uninstallFlags struct {
	namespace       string
	leaseNamespace  string
	keepCRDs        bool
	keepWorkloads   bool
	deleteWorkloads bool
	handBack        bool
	yes             bool
	timeout         time.Duration
}

func newUninstall(g *global) *cobra.Command {
	var f uninstallFlags
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove Plumb, its definitions and its objects",
		Long: `Removes everything that plumb install made: the Deployment, the rights, the settings
and the definitions.

While there are configurations (FluxConfigs, sources, Kustomizations, HelmReleases) it
refuses, unless told what is to become of them: --keep-workloads removes them and leaves
what they applied as it is, --delete-workloads lets Plumb delete that first, and
--keep-crds keeps them for a later installation.`,
		Example: `  plumb uninstall --yes --keep-workloads
  plumb uninstall --yes --delete-workloads
  plumb uninstall --yes --keep-crds

  # back to the controllers that plumb install --takeover has stopped
  plumb uninstall --yes --hand-back`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runUninstall(cmd.Context(), g, f, cmd.InOrStdin())
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.namespace, "namespace", "n", install.DefaultNamespace, "namespace that Plumb runs in")
	flags.StringVar(&f.leaseNamespace, "lease-namespace", install.LeaseNamespace, "namespace of the lease that a running Plumb holds")
	flags.BoolVar(&f.keepCRDs, "keep-crds", false, "keep the definitions, and with them all configurations")
	flags.BoolVar(&f.keepWorkloads, "keep-workloads", false, "remove the configurations and leave what they applied as it is")
	flags.BoolVar(&f.deleteWorkloads, "delete-workloads", false, "delete what the configurations applied, then remove them")
	flags.BoolVar(&f.handBack, "hand-back", false, "start the controllers that plumb install --takeover has stopped; keeps the definitions")
	flags.BoolVar(&f.yes, "yes", false, "really do it")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this long")
	cmd.MarkFlagsMutuallyExclusive("keep-workloads", "delete-workloads", "keep-crds")
	cmd.MarkFlagsMutuallyExclusive("keep-workloads", "delete-workloads", "hand-back")
	return cmd
}

func runUninstall(ctx context.Context, g *global, f uninstallFlags, in io.Reader) error {
	f.keepCRDs = f.keepCRDs || f.handBack // who goes on needs them
	if !f.yes {
		if err := g.confirm(in, "Remove Plumb"+f.consequence()+"?"); err != nil {
			return err
		}
	}
	cluster, err := g.connect()
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := f.uninstall(limited, g, cluster); err != nil {
		return ended(ctx, limited, err)
	}
	return nil
}

// consequence is what becomes of the configurations, for the question.
func (f *uninstallFlags) consequence() string {
	switch {
	case f.keepWorkloads:
		return " and all configurations; workloads stay"
	case f.deleteWorkloads:
		return ", all configurations, and everything that they applied"
	case f.keepCRDs:
		return "; configurations and workloads stay"
	default:
		return ""
	}
}

// uninstall removes Plumb step by step. What was removed stays removed, so after a
// crash the same command does the rest.
func (f *uninstallFlags) uninstall(ctx context.Context, g *global, cluster *kube.Cluster) error {
	if err := f.noOtherEngine(ctx, cluster); err != nil {
		return err
	}
	if err := f.configurations(ctx, g, cluster); err != nil {
		return err
	}
	// The engine next: while it runs it would take the deletion of a Kustomization
	// for a wish to prune.
	if err := f.parts(ctx, g, cluster); err != nil {
		return err
	}
	if f.handBack {
		if err := inventoriesBack(ctx, g.out, cluster); err != nil {
			return err
		}
		return handBack(ctx, g, cluster)
	}
	if f.keepCRDs {
		return nil
	}
	if err := dropDefinitions(ctx, g.out, cluster); err != nil {
		return err
	}
	return dropChunks(ctx, cluster, nil)
}

// configurations sees to what there is of our kinds, as the flags say.
func (f *uninstallFlags) configurations(ctx context.Context, g *global, cluster *kube.Cluster) error {
	if f.keepCRDs || f.keepWorkloads {
		return nil
	}
	if f.deleteWorkloads {
		return f.takeDown(ctx, g, cluster)
	}
	counts, err := configurationsOf(ctx, cluster)
	if err != nil || len(counts) == 0 {
		return err
	}
	return fmt.Errorf("there are configurations: %s; give --keep-workloads to remove them and leave what they applied, "+
		"--delete-workloads to delete that as well, or --keep-crds to keep them", counts)
}

// parts removes the objects of the installation, the Deployment first. The namespace
// stays, since other things may live there, and loses the labels that it was given.
func (f *uninstallFlags) parts(ctx context.Context, g *global, cluster *kube.Cluster) error {
	parts, err := belonging(ctx, cluster, f.namespace)
	if err != nil {
		return err
	}
	for _, key := range parts {
		if key.GroupKind.Kind == "Namespace" {
			bare := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": key.Name}}}
			if _, err := cluster.Apply(ctx, bare, kube.ApplyOptions{Manager: cliManager}); err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s: %w", key, err)
			}
			fmt.Fprintf(g.out, "%s released\n", key)
			continue
		}
		if err := remove(ctx, g.out, cluster, key); err != nil {
			return err
		}
	}
	return f.shards(ctx, cluster)
}

// shards removes the leases by which engines shared the work. One that is still ending
// cannot renew its own then, and takes that for the word to stop at once.
func (f *uninstallFlags) shards(ctx context.Context, cluster *kube.Cluster) error {
	found, err := shardLeases(ctx, cluster, f.namespace)
	if err != nil {
		return err
	}
	for i := range found {
		found[i].SetGroupVersionKind(leaseKind)
		if _, err := cluster.Delete(ctx, kube.KeyOf(&found[i]), "", ""); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(&found[i]), err)
		}
	}
	return nil
}

// noOtherEngine refuses while an engine that is not the Deployment's holds the
// lease: it would take the deletion of a Kustomization for a wish to prune.
func (f *uninstallFlags) noOtherEngine(ctx context.Context, cluster *kube.Cluster) error {
	deployed, err := exists(ctx, cluster, deploymentKey(f.namespace, install.Name))
	if err != nil || deployed || f.deleteWorkloads {
		return err
	}
	holder, err := leaseHolder(ctx, cluster, f.election())
	if err == nil && holder != "" {
		err = fmt.Errorf("a Plumb that runs elsewhere has the cluster's lease: %s; stop it first", holder)
	}
	return err
}

func (f *uninstallFlags) election() engine.Election {
	return engine.Election{Namespace: f.leaseNamespace, Name: install.Lease}
}

// takeDown deletes the configurations and lets the engine that runs take down what
// they applied.
func (f *uninstallFlags) takeDown(ctx context.Context, g *global, cluster *kube.Cluster) error {
	holder, err := leaseHolder(ctx, cluster, f.election())
	if err != nil {
		return err
	}
	if holder == "" {
		return errors.New("no Plumb runs that could delete what the configurations applied: start one (plumb run), or give --keep-workloads")
	}
	return takeDownAll(ctx, g, cluster)
}

// remove deletes one object and waits until it is gone.
func remove(ctx context.Context, out io.Writer, cluster *kube.Cluster, key kube.Key) error {
	there, err := exists(ctx, cluster, key)
	if err != nil || !there {
		return err
	}
	gone, err := cluster.Delete(ctx, key, "", "")
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if !gone {
		if err := until(ctx, cluster, key, func(now *unstructured.Unstructured) bool { return now == nil }); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s removed\n", key)
	return nil
}
