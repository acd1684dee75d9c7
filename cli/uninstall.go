package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumb-gitops/plumb/api/crds"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/internal/kube"
)

type uninstallFlags struct {
	namespace      string
	leaseNamespace string
	keepCRDs       bool
	yes            bool
}

func newUninstall(g *global) *cobra.Command {
	var f uninstallFlags
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove Plumb, its definitions and its objects; workloads stay",
		Long: `Removes the Deployment with its rights, then the definitions and with them every
source and Kustomization. What these applied stays in the cluster as it is.`,
		Example: "  plumb uninstall --yes\n  plumb uninstall --yes --keep-crds",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.yes {
				return usage(errors.New("give --yes: every source and Kustomization is removed (workloads stay)"))
			}
			return uninstall(cmd.Context(), g, f)
		},
	}
	cmd.Flags().StringVar(&f.namespace, "namespace", "flux-system", "namespace that Plumb runs in")
	cmd.Flags().StringVar(&f.leaseNamespace, "lease-namespace", "kube-system", "namespace of the lease that a running Plumb holds")
	cmd.Flags().BoolVar(&f.keepCRDs, "keep-crds", false, "keep the definitions, and with them all sources and Kustomizations")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "really do it")
	return cmd
}

func uninstall(ctx context.Context, g *global, f uninstallFlags) error {
	cluster, err := g.connect()
	if err != nil {
		return err
	}
	if err := f.noOtherEngine(ctx, cluster); err != nil {
		return err
	}
	// The engine first: while it runs it would take the deletion of a
	// Kustomization for a wish to prune.
	parts := deployment(f.namespace, "")
	slices.Reverse(parts)
	for _, obj := range parts {
		if obj.GetKind() == "Namespace" {
			continue // other things may live there
		}
		if err := remove(ctx, g, cluster, kube.KeyOf(obj)); err != nil {
			return err
		}
	}
	if f.keepCRDs {
		return nil
	}
	if err := releaseAll(ctx, cluster); err != nil {
		return err
	}
	definitions, err := crds.All()
	if err != nil {
		return err
	}
	for _, obj := range definitions {
		if err := remove(ctx, g, cluster, kube.KeyOf(obj)); err != nil {
			return err
		}
	}
	return nil
}

// noOtherEngine refuses while an engine that is not the Deployment's holds the
// lease: it would take the deletion of a Kustomization for a wish to prune.
func (f *uninstallFlags) noOtherEngine(ctx context.Context, cluster *kube.Cluster) error {
	deployed, err := exists(ctx, cluster, kube.KeyOf(deployment(f.namespace, "")[3]))
	if err != nil || deployed {
		return err
	}
	holder, err := leaseHolder(ctx, cluster, engine.Election{Namespace: f.leaseNamespace, Name: leaseName})
	if err == nil && holder != "" {
		err = fmt.Errorf("a Plumb that runs elsewhere has the cluster's lease: %s; stop it first", holder)
	}
	return err
}

// definedKinds are the kinds that our definitions define, by file name, each in the
// version that the cluster stores.
func definedKinds() ([]schema.GroupVersionKind, error) {
	definitions, err := crds.All()
	if err != nil {
		return nil, err
	}
	var out []schema.GroupVersionKind
	for _, obj := range definitions {
		def := apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &def); err != nil {
			return nil, fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		for _, v := range def.Spec.Versions {
			if v.Storage {
				out = append(out, schema.GroupVersionKind{Group: def.Spec.Group, Version: v.Name, Kind: def.Spec.Names.Kind})
			}
		}
	}
	return out, nil
}

// releaseAll takes the finalizers off our objects: nobody is left to honour them.
func releaseAll(ctx context.Context, cluster *kube.Cluster) error {
	kinds, err := definedKinds()
	if err != nil {
		return err
	}
	for _, gvk := range kinds {
		resource, err := cluster.Resource(gvk, "")
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return err
		}
		found, err := resource.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, obj := range found.Items {
			one, err := cluster.Resource(gvk, obj.GetNamespace())
			if err != nil {
				return err
			}
			_, err = one.Patch(ctx, obj.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{FieldManager: cliManager})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s: take the finalizer off: %w", kube.KeyOf(&obj), err)
			}
		}
	}
	return nil
}

// remove deletes one object and waits until it is gone.
func remove(ctx context.Context, g *global, cluster *kube.Cluster, key kube.Key) error {
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
	fmt.Fprintf(g.out, "%s removed\n", key)
	return nil
}
