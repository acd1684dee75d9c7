package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig/flags"
	"github.com/plumb-gitops/plumb/fluxconfig/rest"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// configWrite are the flags of what writes configurations.
type configWrite struct {
	target
	configWait
	yes    bool
	output string
}

func (f *configWrite) add(g *global, cmd *cobra.Command, namespace string) {
	f.target.add(g, cmd, true, namespace)
	f.configWait.add(cmd, true)
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	outputFlag(cmd, &f.output, outputs...)
}

func (f *configWrite) check() error {
	if err := f.target.check(true); err != nil {
		return err
	}
	if err := checkOutput(f.output, outputs); err != nil {
		return err
	}
	return f.configWait.check()
}

func newConfigCreate(g *global) *cobra.Command {
	var f configWrite
	var body string
	cmd := &cobra.Command{
		Use:   "create -n NAME -u URL [flags]",
		Short: "Create a FluxConfig, or make one that is there the same as the flags say",
		Long: `Creates a FluxConfig with its namespace, and waits until the engine has made
what it stands for. One that is there already becomes what the flags say; a
kustomization that they don't name leaves it.

Credentials go into the Secret NAME-protected-parameters.`,
		Example: `  plumb config create -n cluster-config --namespace cluster-config --scope cluster \
    -u https://github.com/Azure/gitops-flux2-kustomize-helm-mt --branch main \
    --kustomization name=infra path=./infrastructure prune=true \
    --kustomization name=apps path=./apps/staging prune=true dependsOn=infra

  # by SSH, and until everything is compliant
  plumb config create -n fleet -u git@github.com:org/fleet --branch main --ssh-private-key-file ~/.ssh/fleet -k name=apps --wait

  # as a template for Azure's REST API has it, or plumb config show -o json
  plumb config create -n fleet --file fleet.json

  # a bucket
  plumb config create -n fleet --kind bucket -u https://s3.example.com --bucket-name fleet --local-auth-ref s3 -k name=apps path=./apps`,
		Args: noArgs,
	}
	alsoNamed(cmd, sourceAliases())
	f.add(g, cmd, "default")
	addSources(cmd, true)
	cmd.Flags().StringVar(&body, "file", "", "JSON or YAML file with the configuration as Azure's REST API has it, in the place of the flags about it; - reads standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		said, err := f.said(cmd)
		if err != nil {
			return err
		}
		plan, err := f.planned(body, said, cmd.InOrStdin())
		if err != nil {
			return err
		}
		return f.write(cmd.Context(), g, cmd.InOrStdin(), func(ctx context.Context, s *configStore) (*clusterconfigv1.FluxConfig, []string, error) {
			return f.create(ctx, g, s, plan, cmd.Flags().Changed("namespace"))
		})
	}
	return cmd
}

// planned makes the plan for a configuration that is to be created: of the flags, or of a
// file. It is made anew at each attempt, and is checked here before anything is read.
func (f *configWrite) planned(file string, said flags.Given, in io.Reader) (func() (*flags.Plan, error), error) {
	plan := func() (*flags.Plan, error) { return flags.Create(f.name, f.namespace, said) }
	if file != "" {
		if len(said) > 0 {
			return nil, usage(errors.New("--file has all of the configuration: leave out the flags about it"))
		}
		body, err := readBody(file, in)
		if err != nil {
			return nil, usage(fmt.Errorf("--file: %w", err))
		}
		plan = func() (*flags.Plan, error) {
			spec, protected, err := rest.From(body)
			if err != nil {
				return nil, fmt.Errorf("--file %s: %w", file, err)
			}
			return flags.Whole(f.name, f.namespace, spec, protected)
		}
	}
	_, err := plan()
	return plan, asUsage(err)
}

func readBody(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

func newConfigUpdate(g *global) *cobra.Command {
	var f configWrite
	cmd := &cobra.Command{
		Use:   "update -n NAME [flags]",
		Short: "Change a FluxConfig",
		Long: `Changes what the flags speak of, and leaves the rest. A kustomization that is
named keeps what is not given of it, one of a new name is added. Another branch,
tag, version or commit takes the place of what was followed so far; another way
in takes the credentials of the one before away.`,
		Example: `  plumb config update -n cluster-config --branch release
  plumb config update -n cluster-config --suspend
  plumb config update -n cluster-config --suspend=false -k name=apps path=./apps/production`,
		Args: noArgs,
	}
	alsoNamed(cmd, sourceAliases())
	f.add(g, cmd, "")
	addSources(cmd, false)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		said, err := f.said(cmd)
		if err != nil {
			return err
		}
		return f.write(cmd.Context(), g, cmd.InOrStdin(), func(ctx context.Context, s *configStore) (*clusterconfigv1.FluxConfig, []string, error) {
			return s.change(ctx, f.reads(ctx, g, s), func(have stored) (*flags.Plan, error) {
				plan, err := flags.Update(have.Have, said)
				return plan, asUsage(err)
			})
		})
	}
	return cmd
}

// said is what the command line says, checked as far as it can be alone.
func (f *configWrite) said(cmd *cobra.Command) (flags.Given, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return given(cmd)
}

// asUsage is for what is wrong with the command line.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return usage(err)
}

// create makes a configuration, or one that is there the same. A name without a
// namespace is not taken for another one than that which the cluster has.
func (f *configWrite) create(ctx context.Context, g *global, s *configStore, planned func() (*flags.Plan, error), placed bool) (*clusterconfigv1.FluxConfig, []string, error) {
	if err := f.onlyOne(ctx, s.Cluster, placed); err != nil {
		return nil, nil, err
	}
	read := func() (stored, error) {
		fc, err := f.find(ctx, s.Cluster, g)
		if err != nil {
			return stored{}, err
		}
		return s.hold(ctx, fc, f.namespace, f.name)
	}
	return s.change(ctx, read, func(have stored) (*flags.Plan, error) {
		plan, err := planned()
		if err == nil {
			err = flags.Replace(have.Have, plan)
		}
		return plan, asUsage(err)
	})
}

// onlyOne refuses to make a second configuration of a name by forgetting to name
// the namespace.
func (f *configWrite) onlyOne(ctx context.Context, cluster *kube.Cluster, placed bool) error {
	if placed {
		return nil
	}
	everywhere := target{name: f.name}
	found, err := everywhere.configs(ctx, cluster)
	if err != nil {
		return err
	}
	for _, fc := range found {
		if fc.Namespace != f.namespace {
			return usage(fmt.Errorf("%s is there already: give --namespace to say which one is meant", configKey(&fc)))
		}
	}
	return nil
}

// reads gives what is there of the configuration that the flags name.
func (f *configWrite) reads(ctx context.Context, g *global, s *configStore) func() (stored, error) {
	return func() (stored, error) {
		fc, err := f.must(ctx, s.Cluster, g)
		if err != nil {
			return stored{}, err
		}
		return s.hold(ctx, fc, fc.Namespace, fc.Name)
	}
}

// write makes a change, waits for what comes of it, and shows it.
func (f *configWrite) write(ctx context.Context, g *global, in io.Reader, change func(context.Context, *configStore) (*clusterconfigv1.FluxConfig, []string, error)) error {
	cluster, err := g.connect()
	if err != nil {
		return err
	}
	fc, notes, err := change(ctx, newConfigStore(g, cluster, in, f.yes))
	if err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(g.err, "plumb: note:", note)
	}
	if !f.not {
		if err := f.until(ctx, g, cluster, configKey(fc), f.settled(fc.Generation)); err != nil {
			return err
		}
		if fc, err = f.target.at(ctx, cluster, g, fc); err != nil {
			return err
		}
	}
	return printConfigs(g.out, f.output, []clusterconfigv1.FluxConfig{*fc}, false)
}

// at reads a configuration anew.
func (t *target) at(ctx context.Context, cluster *kube.Cluster, g *global, fc *clusterconfigv1.FluxConfig) (*clusterconfigv1.FluxConfig, error) {
	again := target{name: fc.Name, namespace: fc.Namespace}
	return again.must(ctx, cluster, g)
}
