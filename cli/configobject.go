package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// objectKinds are the kinds of objects whose state a configuration has.
var objectKinds = []string{"GitRepository", "Bucket", "OCIRepository", "HelmRepository", "HelmChart", "HelmRelease", "Kustomization"}

func newConfigObject(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "object",
		Aliases: []string{"deployed-object"},
		Short:   "See the objects of a FluxConfig",
		Long: `Shows the state of the objects that a FluxConfig stands for, and of the toolkit
objects that its kustomizations applied.`,
		Example: "  plumb config object list -n cluster-config",
		Args:    groupArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newObjectList(g), newObjectShow(g))
	return cmd
}

func newObjectList(g *global) *cobra.Command {
	var f configRead
	cmd := &cobra.Command{
		Use:     "list -n NAME",
		Short:   "List the objects of a FluxConfig, and how they are",
		Long:    `Lists the source, the Kustomizations, and the toolkit objects that these applied.`,
		Example: "  plumb config object list -n cluster-config",
		Args:    noArgs,
	}
	alsoNamed(cmd, nil)
	f.add(g, cmd, true)
	cmd.RunE = f.showing(g, nil, func(fc *clusterconfigv1.FluxConfig) error {
		list := fc.Status.Statuses
		if list == nil {
			list = []clusterconfigv1.ObjectStatus{}
		}
		return printValue(g.out, f.output, list, func(out io.Writer) error { return objectTable(out, list) })
	})
	return cmd
}

func newObjectShow(g *global) *cobra.Command {
	var f configRead
	var kind, namespace, name string
	cmd := &cobra.Command{
		Use:   "show -n NAME --object-kind KIND --object-namespace NAMESPACE --object-name OBJECT",
		Short: "Show an object of a FluxConfig, with its conditions",
		Long:  `Shows the state of one object. All three of its flags have to be given.`,
		Example: `  plumb config object show -n cluster-config \
    --object-kind HelmRelease --object-namespace cluster-config --object-name podinfo`,
		Args: noArgs,
	}
	alsoNamed(cmd, nil)
	f.add(g, cmd, true)
	cmd.Flags().StringVar(&kind, "object-kind", "", "kind of the object: "+strings.Join(objectKinds, ", "))
	cmd.Flags().StringVar(&namespace, "object-namespace", "", "namespace of the object")
	cmd.Flags().StringVar(&name, "object-name", "", "name of the object")
	offer(cmd, "object-kind", cobra.FixedCompletions(objectKinds, cobra.ShellCompDirectiveNoFileComp))
	offer(cmd, "object-namespace", g.completeNamespaces)
	offer(cmd, "object-name", g.completeObjectNames)
	cmd.RunE = f.showing(g, func() error { return checkObject(kind, namespace, name) }, func(fc *clusterconfigv1.FluxConfig) error {
		for _, o := range fc.Status.Statuses {
			if strings.EqualFold(o.Kind, kind) && o.Namespace == namespace && o.Name == name {
				return printValue(g.out, f.output, o, func(out io.Writer) error { return objectDetails(out, o) })
			}
		}
		return fmt.Errorf("%s has no object %s/%s/%s: see plumb config object list", configKey(fc), kind, namespace, name)
	})
	return cmd
}

func checkObject(kind, namespace, name string) error {
	if kind == "" || namespace == "" || name == "" {
		return usage(errors.New("give --object-kind, --object-namespace and --object-name"))
	}
	if !slices.ContainsFunc(objectKinds, func(k string) bool { return strings.EqualFold(k, kind) }) {
		return usage(fmt.Errorf("--object-kind %s: want one of %s", kind, strings.Join(objectKinds, ", ")))
	}
	return nil
}

func objectTable(out io.Writer, list []clusterconfigv1.ObjectStatus) error {
	rows := make([][]string, len(list))
	for i, o := range list {
		by := "-"
		if o.AppliedBy != nil {
			by = o.AppliedBy.Name
		}
		rows[i] = []string{o.Namespace, o.Kind, o.Name, string(o.ComplianceState), by, strings.TrimPrefix(ownWords(o), ": ")}
	}
	return printTable(out, []string{"NAMESPACE", "KIND", "NAME", "COMPLIANCESTATE", "APPLIEDBY", "MESSAGE"}, rows)
}

// objectDetails is one object with its conditions.
func objectDetails(out io.Writer, o clusterconfigv1.ObjectStatus) error {
	if err := objectTable(out, []clusterconfigv1.ObjectStatus{o}); err != nil {
		return err
	}
	fmt.Fprintln(out)
	rows := make([][]string, len(o.StatusConditions))
	for i, c := range o.StatusConditions {
		rows[i] = []string{c.Type, c.Status, orDash(c.Reason), at(c.LastTransitionTime), c.Message}
	}
	return printTable(out, []string{"CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"}, rows)
}
