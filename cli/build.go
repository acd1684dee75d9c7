package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/preview"
	"github.com/plumb-gitops/plumb/source"
)

// previewFlags are those of commands that build without a cluster.
type previewFlags struct {
	path     string
	files    []string
	with     []string
	lenient  bool
	remote   bool
	releases bool
	cluster  bool
	revision string
}

func (f *previewFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.path, "path", ".", "folder of the repository that the Kustomizations build from")
	flags.StringArrayVarP(&f.files, "filename", "f", nil, "file or folder with the Kustomizations to begin with, - for standard input; repeatable")
	flags.StringArrayVar(&f.with, "with", nil, "file or folder with Secrets and ConfigMaps that are in the cluster; repeatable")
	flags.BoolVar(&f.lenient, "lenient", false, "take ${variables} that are not defined for empty")
	flags.BoolVar(&f.releases, "releases", true, "render HelmReleases, too, for which charts are fetched from their repositories")
	flags.BoolVar(&f.cluster, "cluster", false, "let charts look things up in the cluster of the kubeconfig, and ask what it serves")
	flags.BoolVar(&f.remote, "allow-remote-bases", false, "let kustomizations load bases from other addresses")
}

func newBuild(g *global) *cobra.Command {
	var f previewFlags
	cmd := &cobra.Command{
		Use:   "build -f FILE",
		Short: "Print what a repository would bring to a cluster, without one",
		Long: `Builds the given Kustomizations out of a folder or a revision of a Git repository, and
the Kustomizations that these bring along, and prints their manifests: with patches,
components, substitution and decryption as the engine does it. No cluster is asked, but
by --cluster for what charts look up; hooks of releases stand apart.`,
		Example: `  plumb build -f clusters/staging/apps.yaml
  plumb build -f clusters/staging/ --path . --revision main --with test/variables.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return showBuild(cmd.Context(), g, f, cmd.InOrStdin()) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.revision, "revision", "", "commit, branch or tag to build (default: the files as they are)")
	return cmd
}

func showBuild(ctx context.Context, g *global, f previewFlags, in io.Reader) error {
	first, err := f.first(in)
	if err != nil {
		return err
	}
	units, err := f.build(ctx, g, f.revision, first)
	if err != nil {
		return err
	}
	var errs []error
	for _, u := range units {
		if u.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u.ID(), u.Err))
			continue
		}
		fmt.Fprintf(g.out, "# %s\n", u.ID())
		if err := printObjects(g.out, u.Objects); err != nil {
			return err
		}
		if len(u.Hooks) > 0 {
			fmt.Fprintf(g.out, "# hooks of %s\n", u.ID())
		}
		if err := printObjects(g.out, u.Hooks); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func printObjects(out io.Writer, objs []*unstructured.Unstructured) error {
	for _, obj := range objs {
		raw, err := yaml.Marshal(obj.Object)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "---\n%s", raw)
	}
	return nil
}

// first reads the Kustomizations to begin with.
func (f previewFlags) first(in io.Reader) ([]*unstructured.Unstructured, error) {
	if len(f.files) == 0 {
		return nil, usage(errors.New("give -f FILE with the Kustomizations to begin with"))
	}
	return readManifests(f.files, in)
}

// build builds a revision, or the files as they are when it is "".
func (f previewFlags) build(ctx context.Context, g *global, revision string, first []*unstructured.Unstructured) ([]preview.Unit, error) {
	tree, err := f.tree(revision)
	if err != nil {
		return nil, err
	}
	known, err := readManifests(f.with, nil)
	if err != nil {
		return nil, err
	}
	visible, err := source.Ignored(tree, nil)
	if err != nil {
		return nil, err
	}
	options := preview.Options{Objects: append(known, first...), RemoteBases: f.remote, Strict: !f.lenient}
	if f.releases {
		if options.Releases, err = f.rendering(g); err != nil {
			return nil, err
		}
	}
	return preview.Build(ctx, visible, first, options)
}

// rendering is how HelmReleases are rendered: with a cluster if one is to be asked.
func (f previewFlags) rendering(g *global) (*preview.Releases, error) {
	if !f.cluster {
		return &preview.Releases{}, nil
	}
	l, err := g.lookup("")
	if err != nil {
		return nil, err
	}
	capabilities, err := client.Capabilities(l.Cluster)
	return &preview.Releases{Capabilities: capabilities, Lookup: l.Config}, err
}

func (f previewFlags) tree(revision string) (source.MemoryTree, error) {
	if revision == "" {
		return preview.Folder(f.path)
	}
	return preview.Revision(f.path, revision)
}
