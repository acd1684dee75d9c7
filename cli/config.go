package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig/flags"
	"github.com/plumb-gitops/plumb/internal/kube"
)

var fluxConfigKind = clusterconfigv1.GroupVersion.WithKind(clusterconfigv1.FluxConfigKind)

func newConfig(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Work with FluxConfigs, with the flags of az k8s-configuration flux",
		Long: `Creates, changes, shows and deletes FluxConfigs: a source, and what to apply
from it. The commands and flags are those of "az k8s-configuration flux". The
cluster is that of the kubeconfig; -g, -c and -t name one in Azure and change
nothing here.`,
		Example: `  plumb config create -n cluster-config --namespace cluster-config --scope cluster \
    -u https://github.com/Azure/gitops-flux2-kustomize-helm-mt --branch main \
    --kustomization name=infra path=./infrastructure prune=true \
    --kustomization name=apps path=./apps/staging prune=true dependsOn=infra
  plumb config show -n cluster-config`,
		Args: groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCreate(g), newConfigUpdate(g), newConfigShow(g), newConfigList(g), newConfigDelete(g),
		newConfigKustomization(g), newConfigObject(g))
	return cmd
}

// groupArgs refuses what is no command of a group.
func groupArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(fmt.Errorf("unknown command %q: see %s --help", args[0], cmd.CommandPath()))
	}
	return nil
}

// aliases are other names of flags, by command line of Azure.
var aliases = map[string]string{"ns": "namespace", "cluster-rp": "cluster-resource-provider"}

// alsoNamed makes a command take flags by all their names. It has to come before
// the flags are made.
func alsoNamed(cmd *cobra.Command, more map[string]string) {
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		for _, names := range []map[string]string{aliases, more} {
			if known, is := names[name]; is {
				name = known
			}
		}
		return pflag.NormalizedName(name)
	})
}

// clusterTypes are those of Azure.
var clusterTypes = []string{"connectedClusters", "managedClusters", "provisionedClusters"}

// target are the flags that name a configuration.
type target struct {
	group, cluster, clusterType, provider string
	name, namespace                       string
}

// add makes the flags; named tells that one configuration is meant.
func (t *target) add(g *global, cmd *cobra.Command, named bool, namespace string) {
	f := cmd.Flags()
	f.StringVarP(&t.group, "resource-group", "g", "", "resource group of the cluster in Azure; changes nothing here")
	f.StringVarP(&t.cluster, "cluster-name", "c", "", "name of the cluster in Azure; changes nothing here")
	f.StringVarP(&t.clusterType, "cluster-type", "t", "", "type of the cluster in Azure: "+strings.Join(clusterTypes, ", ")+"; changes nothing here")
	f.StringVar(&t.provider, "cluster-resource-provider", "", "resource provider of the cluster in Azure; changes nothing here")
	usage := "namespace to look in (default: all of them)"
	if namespace != "" {
		usage = "namespace of the configuration; it is made when it is not there"
	} else if named {
		usage = "namespace of the configuration (default: the one that has it, of several that of the context)"
	}
	f.StringVar(&t.namespace, "namespace", namespace, usage)
	offer(cmd, "cluster-type", cobra.FixedCompletions(clusterTypes, cobra.ShellCompDirectiveNoFileComp))
	offer(cmd, "namespace", g.completeNamespaces)
	if named {
		f.StringVarP(&t.name, "name", "n", "", "name of the configuration")
		offer(cmd, "name", g.completeConfigs)
	}
}

// offer registers what a flag is completed with.
func offer(cmd *cobra.Command, flag string, with cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic(err) // there is no such flag
	}
}

// check says what is wrong with the names.
func (t *target) check(named bool) error {
	if t.clusterType != "" && !slices.ContainsFunc(clusterTypes, func(v string) bool { return strings.EqualFold(v, t.clusterType) }) {
		return usage(fmt.Errorf("--cluster-type %s: want one of %s", t.clusterType, strings.Join(clusterTypes, ", ")))
	}
	if strings.EqualFold(t.clusterType, "provisionedClusters") && t.provider == "" {
		return usage(errors.New("give --cluster-resource-provider: a cluster of type provisionedClusters needs it"))
	}
	if named && t.name == "" {
		return usage(errors.New("give the name of the configuration with --name"))
	}
	if named {
		if err := flags.CheckNames(t.name, t.namespace); err != nil {
			return usage(err)
		}
	}
	return nil
}

// configs are the configurations that a target names: one or none of a name, and
// else all of its namespace or of the cluster.
func (t *target) configs(ctx context.Context, cluster *kube.Cluster) ([]clusterconfigv1.FluxConfig, error) {
	resource, err := cluster.Resource(fluxConfigKind, t.namespace)
	if meta.IsNoMatchError(err) {
		return nil, errors.New("the cluster does not know FluxConfigs: run plumb install first")
	}
	if err != nil {
		return nil, err
	}
	options := metav1.ListOptions{}
	if t.name != "" {
		options.FieldSelector = "metadata.name=" + t.name
	}
	list, err := resource.List(ctx, options)
	if apierrors.IsForbidden(err) && t.namespace == "" {
		return nil, fmt.Errorf("look for FluxConfigs in all namespaces: %w; give --namespace", err)
	}
	if err != nil {
		return nil, fmt.Errorf("look for FluxConfigs: %w", err)
	}
	out := make([]clusterconfigv1.FluxConfig, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &out[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", kube.KeyOf(&list.Items[i]), err)
		}
	}
	return out, nil
}

// find is the configuration that a target names; nil when there is none. Where the
// name is that of several and no namespace is given, that of the kubeconfig's context
// counts.
func (t *target) find(ctx context.Context, cluster *kube.Cluster, g *global) (*clusterconfigv1.FluxConfig, error) {
	found, err := t.configs(ctx, cluster)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if len(found) == 1 {
		return &found[0], nil
	}
	here := g.contextNamespace()
	var namespaces []string
	for i, fc := range found {
		if fc.Namespace == here {
			return &found[i], nil
		}
		namespaces = append(namespaces, fc.Namespace)
	}
	slices.Sort(namespaces)
	return nil, usage(fmt.Errorf("there is a FluxConfig %s in each of %s: give --namespace", t.name, strings.Join(namespaces, ", ")))
}

// must is find, where it is an error when there is none.
func (t *target) must(ctx context.Context, cluster *kube.Cluster, g *global) (*clusterconfigv1.FluxConfig, error) {
	fc, err := t.find(ctx, cluster, g)
	if err == nil && fc == nil {
		where := ""
		if t.namespace != "" {
			where = " in namespace " + t.namespace
		}
		err = fmt.Errorf("there is no FluxConfig %s%s: see plumb config list", t.name, where)
	}
	return fc, err
}

func configKey(fc *clusterconfigv1.FluxConfig) kube.Key {
	return keyOf(fluxConfigKind, fc.Namespace, fc.Name)
}

func keyOf(gvk schema.GroupVersionKind, namespace, name string) kube.Key {
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
}

// typedConfig is a configuration with its types.
func typedConfig(obj *unstructured.Unstructured) (*clusterconfigv1.FluxConfig, error) {
	fc := &clusterconfigv1.FluxConfig{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, fc); err != nil {
		return nil, fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
	}
	return fc, nil
}

// addSources makes the flags of a source. At creation they show their defaults.
func addSources(cmd *cobra.Command, creation bool) {
	for _, f := range flags.Sources {
		if f.Creation && !creation {
			continue
		}
		value, text := "", f.Usage
		if creation {
			value = f.Default
		}
		if f.Values != nil {
			text += ": " + strings.Join(f.Values, ", ")
		}
		switch f.Form {
		case flags.Switch:
			cmd.Flags().BoolP(f.Name, f.Short, false, text)
		case flags.Words:
			cmd.Flags().StringArrayP(f.Name, f.Short, nil, text)
		case flags.Text, flags.File:
			cmd.Flags().StringP(f.Name, f.Short, value, text)
		}
		if f.Values != nil {
			offer(cmd, f.Name, cobra.FixedCompletions(f.Values, cobra.ShellCompDirectiveNoFileComp))
		} else if f.Form != flags.File {
			offer(cmd, f.Name, cobra.NoFileCompletions)
		}
	}
}

// sourceAliases are the other names of the flags of a source.
func sourceAliases() map[string]string {
	out := map[string]string{}
	for _, f := range flags.Sources {
		for _, alias := range f.Aliases {
			out[alias] = f.Name
		}
	}
	return out
}

// given are the flags of a source that the command line has. Files are read.
func given(cmd *cobra.Command) (flags.Given, error) {
	out := flags.Given{}
	for _, f := range flags.Sources {
		flag := cmd.Flags().Lookup(f.Name)
		if flag == nil || !flag.Changed {
			continue
		}
		values := []string{flag.Value.String()}
		switch {
		case f.Form == flags.File:
			raw, err := os.ReadFile(values[0])
			if err != nil {
				return nil, usage(fmt.Errorf("--%s: %w", f.Name, err))
			}
			values[0] = string(raw)
		case f.Form == flags.Words:
			values, _ = cmd.Flags().GetStringArray(f.Name) // it was made as one
			if f.Name != "kustomization" {
				values = flags.Split(values...)
			}
		}
		out[f.Name] = values
	}
	return out, nil
}
