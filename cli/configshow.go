package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig/rest"
)

// outputs are the values of -o.
var outputs = []string{"table", "json", "yaml"}

// configRead are the flags of what only reads.
type configRead struct {
	target
	output string
}

func (f *configRead) add(g *global, cmd *cobra.Command, named bool) {
	f.target.add(g, cmd, named, "")
	outputFlag(cmd, &f.output, outputs...)
}

func (f *configRead) check(named bool) error {
	if err := f.target.check(named); err != nil {
		return err
	}
	return checkOutput(f.output, outputs)
}

// showing is what a command does that prints something of one configuration; more is
// what of its command line is to be checked besides, nil for nothing.
func (f *configRead) showing(g *global, more func() error, show func(*clusterconfigv1.FluxConfig) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		err := f.check(true)
		if more != nil {
			err = errors.Join(err, more())
		}
		if err != nil {
			return asUsage(err)
		}
		cluster, err := g.connect()
		if err != nil {
			return err
		}
		fc, err := f.must(cmd.Context(), cluster, g)
		if err != nil {
			return err
		}
		return show(fc)
	}
}

func newConfigShow(g *global) *cobra.Command {
	var f configRead
	cmd := &cobra.Command{
		Use:   "show -n NAME",
		Short: "Show a FluxConfig, and what keeps it from being compliant",
		Long: `Shows how a FluxConfig is. As json and yaml it has the shape of Azure's REST API,
with all of its properties and the state of each object.`,
		Example: `  plumb config show -n cluster-config
  plumb config show -n cluster-config -o json | jq -r .complianceState`,
		Args: noArgs,
	}
	alsoNamed(cmd, nil)
	f.add(g, cmd, true)
	cmd.RunE = f.showing(g, nil, func(fc *clusterconfigv1.FluxConfig) error {
		return printConfigs(g.out, f.output, []clusterconfigv1.FluxConfig{*fc}, false)
	})
	return cmd
}

func newConfigList(g *global) *cobra.Command {
	var f configRead
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List FluxConfigs",
		Long:    `Lists the FluxConfigs of the cluster, or of a namespace, and how they are.`,
		Example: "  plumb config list\n  plumb config list --namespace cluster-config -o yaml",
		Args:    noArgs,
	}
	alsoNamed(cmd, nil)
	f.add(g, cmd, false)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(false); err != nil {
			return err
		}
		cluster, err := g.connect()
		if err != nil {
			return err
		}
		found, err := f.configs(cmd.Context(), cluster)
		if err != nil {
			return err
		}
		return printConfigs(g.out, f.output, found, true)
	}
	return cmd
}

// printConfigs prints configurations: one as itself, many as a list.
func printConfigs(out io.Writer, output string, configs []clusterconfigv1.FluxConfig, many bool) error {
	shown := make([]any, len(configs))
	for i := range configs {
		one, err := rest.Of(&configs[i])
		if err != nil {
			return err
		}
		shown[i] = one
	}
	value := any(shown)
	if !many {
		value = shown[0]
	}
	return printValue(out, output, value, func(out io.Writer) error { return configTable(out, configs, !many) })
}

// configTable has a row for each configuration; with why, what keeps them from
// being as they should.
func configTable(out io.Writer, configs []clusterconfigv1.FluxConfig, why bool) error {
	rows := make([][]string, len(configs))
	for i, fc := range configs {
		s := fc.Status
		rows[i] = []string{fc.Namespace, fc.Name, fc.Spec.Scope, orDash(s.ProvisioningState), orDash(string(s.ComplianceState)), at(s.StatusUpdatedAt), at(s.SourceUpdatedAt)}
	}
	header := []string{"NAMESPACE", "NAME", "SCOPE", "PROVISIONINGSTATE", "COMPLIANCESTATE", "STATUSUPDATEDAT", "SOURCEUPDATEDAT"}
	if err := printTable(out, header, rows); err != nil || !why {
		return err
	}
	for _, fc := range configs {
		if fc.Status.ErrorMessage != "" {
			fmt.Fprintln(out, fc.Status.ErrorMessage)
		}
		if key := fc.Status.RepositoryPublicKey; key != "" && fc.Spec.ProtectedParametersSecretRef == nil {
			fmt.Fprintln(out, "public key for the repository:", key)
		}
		for _, o := range fc.Status.Statuses {
			if o.ComplianceState == clusterconfigv1.NonCompliant {
				fmt.Fprintf(out, "%s/%s/%s%s\n", o.Kind, o.Namespace, o.Name, ownWords(o))
			}
		}
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func at(t *metav1.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
