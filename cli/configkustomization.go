package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig/flags"
	"github.com/plumb-gitops/plumb/fluxconfig/rest"
)

func newConfigKustomization(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "kustomization",
		Short:   "Work with the kustomizations of a FluxConfig",
		Long:    `Creates, changes, shows and deletes single kustomizations of a FluxConfig.`,
		Example: "  plumb config kustomization list -n cluster-config",
		Args:    groupArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKustomizationCreate(g), newKustomizationUpdate(g), newKustomizationShow(g), newKustomizationList(g), newKustomizationDelete(g))
	return cmd
}

// kustomizationFlag is a flag that says something of a kustomization. Its name is
// the key of a word, too.
type kustomizationFlag struct {
	name, usage string
	isSwitch    bool
}

var kustomizationFlags = []kustomizationFlag{
	{"path", "folder of the source (its root when it is not set)", false},
	{"depends-on", "kustomizations of the same FluxConfig that come first, as in infra,crds", false},
	{"timeout", "how long applying and becoming healthy may take (10m when it is not set)", false},
	{"interval", "default of --retry-interval (10m when it is not set)", false},
	{"retry-interval", "longest time between two attempts after a failure (--interval when it is not set)", false},
	{"prune", "delete what left the source", true},
	{"force", "make objects anew whose change the API server refuses", true},
	{"disable-health-check", "don't wait for what is applied to be healthy", true},
}

// kustomizationAliases are the other names of these flags.
var kustomizationAliases = map[string]string{"depends": "depends-on", "dependencies": "depends-on", "sync-interval": "interval"}

// kustomizationName is the flag that names one.
func kustomizationName(g *global, cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(to, "kustomization-name", "k", "", "name of the kustomization")
	offer(cmd, "kustomization-name", g.completeKustomizations)
}

func checkKustomizationName(name string) error {
	if name == "" {
		return usage(errors.New("give the name of the kustomization with --kustomization-name"))
	}
	return nil
}

func addKustomization(cmd *cobra.Command) {
	for _, f := range kustomizationFlags {
		if f.isSwitch {
			cmd.Flags().Bool(f.name, false, f.usage)
			continue
		}
		cmd.Flags().String(f.name, "", f.usage)
		offer(cmd, f.name, cobra.NoFileCompletions)
	}
}

// entryOf is what the command line says of a kustomization.
func entryOf(cmd *cobra.Command, name string) (flags.Entry, error) {
	words := []string{"name=" + name}
	for _, f := range kustomizationFlags {
		if flag := cmd.Flags().Lookup(f.name); flag.Changed {
			words = append(words, f.name+"="+flag.Value.String())
		}
	}
	e, err := flags.Kustomization(words)
	return e, asUsage(err)
}

func newKustomizationCreate(g *global) *cobra.Command {
	return kustomizationWrite(g, &cobra.Command{
		Use:     "create -n NAME -k KUSTOMIZATION [flags]",
		Short:   "Add a kustomization to a FluxConfig",
		Long:    `Adds a kustomization. It is an error when the FluxConfig has one of that name.`,
		Example: "  plumb config kustomization create -n cluster-config -k web --path ./web --prune --depends-on infra,apps",
	}, flags.AddKustomization)
}

func newKustomizationUpdate(g *global) *cobra.Command {
	return kustomizationWrite(g, &cobra.Command{
		Use:     "update -n NAME -k KUSTOMIZATION [flags]",
		Short:   "Change a kustomization of a FluxConfig",
		Long:    `Changes what the flags speak of, and leaves the rest.`,
		Example: "  plumb config kustomization update -n cluster-config -k apps --path ./apps/production --timeout 5m",
	}, flags.ChangeKustomization)
}

// kustomizationWrite is a command that writes one kustomization.
func kustomizationWrite(g *global, cmd *cobra.Command, edit func(flags.Have, flags.Entry) (*flags.Plan, error)) *cobra.Command {
	var f configWrite
	var name string
	cmd.Args = noArgs
	alsoNamed(cmd, kustomizationAliases)
	f.target.add(g, cmd, true, "")
	f.configWait.add(cmd, true)
	outputFlag(cmd, &f.output, outputs...)
	kustomizationName(g, cmd, &name)
	addKustomization(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(f.check(), checkKustomizationName(name)); err != nil {
			return asUsage(err)
		}
		e, err := entryOf(cmd, name)
		if err != nil {
			return err
		}
		return f.write(cmd.Context(), g, cmd.InOrStdin(), func(ctx context.Context, s *configStore) (*clusterconfigv1.FluxConfig, []string, error) {
			return s.change(ctx, f.reads(ctx, g, s), func(have stored) (*flags.Plan, error) { return edit(have.Have, e) })
		})
	}
	return cmd
}

func newKustomizationDelete(g *global) *cobra.Command {
	var f configWrite
	var name string
	cmd := &cobra.Command{
		Use:     "delete -n NAME -k KUSTOMIZATION",
		Short:   "Take a kustomization out of a FluxConfig, and what it applied if it prunes",
		Long:    `Takes a kustomization away. It is an error when others depend on it.`,
		Example: "  plumb config kustomization delete -n cluster-config -k apps --yes",
		Args:    noArgs,
	}
	alsoNamed(cmd, nil)
	f.add(g, cmd, "")
	kustomizationName(g, cmd, &name)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(f.check(), checkKustomizationName(name)); err != nil {
			return asUsage(err)
		}
		return f.write(cmd.Context(), g, cmd.InOrStdin(), func(ctx context.Context, s *configStore) (*clusterconfigv1.FluxConfig, []string, error) {
			return s.change(ctx, f.reads(ctx, g, s), func(have stored) (*flags.Plan, error) { return flags.RemoveKustomization(have.Have, name) })
		})
	}
	return cmd
}

func newKustomizationShow(g *global) *cobra.Command {
	var f configRead
	var name string
	cmd := &cobra.Command{
		Use:     "show -n NAME -k KUSTOMIZATION",
		Short:   "Show a kustomization of a FluxConfig",
		Long:    `Shows one kustomization. As json and yaml it has the shape of Azure's REST API.`,
		Example: "  plumb config kustomization show -n cluster-config -k apps -o yaml",
		Args:    noArgs,
	}
	alsoNamed(cmd, nil)
	f.add(g, cmd, true)
	kustomizationName(g, cmd, &name)
	cmd.RunE = f.showing(g, func() error { return checkKustomizationName(name) }, func(fc *clusterconfigv1.FluxConfig) error {
		k, err := flags.FindKustomization(fc, name)
		if err != nil {
			return err
		}
		return printKustomizations(g.out, f.output, fc, []clusterconfigv1.KustomizationDefinition{k}, name)
	})
	return cmd
}

func newKustomizationList(g *global) *cobra.Command {
	var f configRead
	cmd := &cobra.Command{
		Use:     "list -n NAME",
		Short:   "List the kustomizations of a FluxConfig",
		Long:    `Lists the kustomizations of a FluxConfig. As json and yaml they have the shape of Azure's REST API.`,
		Example: "  plumb config kustomization list -n cluster-config",
		Args:    noArgs,
	}
	alsoNamed(cmd, nil)
	f.add(g, cmd, true)
	cmd.RunE = f.showing(g, nil, func(fc *clusterconfigv1.FluxConfig) error {
		return printKustomizations(g.out, f.output, fc, fc.Spec.Kustomizations, "")
	})
	return cmd
}

// printKustomizations prints kustomizations: by name, or the one that only names.
func printKustomizations(out io.Writer, output string, fc *clusterconfigv1.FluxConfig, list []clusterconfigv1.KustomizationDefinition, only string) error {
	all, err := rest.Of(fc)
	if err != nil {
		return err
	}
	value := all["kustomizations"]
	if byName, is := value.(map[string]any); is && only != "" {
		value = byName[only]
	}
	return printValue(out, output, value, func(out io.Writer) error {
		rows := make([][]string, len(list))
		for i, k := range list {
			rows[i] = []string{k.Name, orDash(k.Path), orDash(strings.Join(k.DependsOn, ",")), spanOf(k.SyncInterval), spanOf(k.Timeout), fmt.Sprint(k.Prune), fmt.Sprint(k.Force)}
		}
		return printTable(out, []string{"NAME", "PATH", "DEPENDSON", "SYNCINTERVAL", "TIMEOUT", "PRUNE", "FORCE"}, rows)
	})
}

func spanOf(d *metav1.Duration) string {
	if d == nil {
		return "-"
	}
	return d.Duration.String()
}
