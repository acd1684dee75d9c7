package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/preview"
	"github.com/plumb-gitops/plumb/settings"
	"github.com/plumb-gitops/plumb/source"
)

type diffFlags struct {
	engineFlags
	preview  previewFlags
	from, to string
	exitCode bool
	output   string
	timeout  time.Duration
}

func newDiff(g *global) *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff [NAME...]",
		Short: "Show what would change, before it does",
		Long: `Against the live cluster: makes the plan that the engine would make, by dry runs on the
API server, and carries nothing out. With --path the Kustomizations build from a folder
of this machine in place of their GitRepository.

Between two revisions, with --from and --to: builds both without any cluster.

Deletions come first. Values of Secrets are never shown.`,
		Example: `  # the working tree against the cluster
  plumb diff --path . -n flux-system

  # two revisions, for a comment on a pull request
  plumb diff --from main --to HEAD -f clusters/staging/ -o markdown`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return showDiff(cmd.Context(), g, f, args, cmd.InOrStdin())
		},
	}
	f.preview.add(cmd)
	flags := cmd.Flags()
	flags.Lookup("path").DefValue = ""
	f.preview.path = ""
	flags.StringVar(&f.from, "from", "", "older revision; with --to no cluster is asked")
	flags.StringVar(&f.to, "to", "", "newer revision (default: the files as they are)")
	flags.StringSliceVarP(&f.namespaces, "namespace", "n", nil, "only Kustomizations of this namespace; repeatable (default: of all)")
	flags.StringVar(&f.storage, "storage-path", "", "folder for fetched sources (default: a folder in the user's cache)")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this long")
	flags.BoolVar(&f.exitCode, "exit-code", false, "end with exit code 1 when something would change")
	outputFlag(cmd, &f.output, diffForms...)
	return cmd
}

// diffForms are the forms of differences.
var diffForms = []string{"text", "json", "yaml", "markdown"}

func showDiff(ctx context.Context, g *global, f diffFlags, names []string, in io.Reader) error {
	if err := checkOutput(f.output, diffForms); err != nil {
		return err
	}
	var differences []preview.Difference
	var err error
	if f.from != "" {
		differences, err = f.revisions(ctx, g, in)
	} else {
		differences, err = f.live(ctx, g)
	}
	if err != nil {
		return err
	}
	if len(names) > 0 {
		differences = slices.DeleteFunc(differences, func(d preview.Difference) bool {
			_, name, _ := strings.Cut(d.Unit, "/")
			return !slices.Contains(names, name)
		})
	}
	if err := printDifferences(g.out, f.output, differences); err != nil {
		return err
	}
	broken := slices.ContainsFunc(differences, func(d preview.Difference) bool { return d.Error != "" })
	if broken || f.exitCode && len(differences) > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

// revisions compares two revisions, without a cluster.
func (f diffFlags) revisions(ctx context.Context, g *global, in io.Reader) ([]preview.Difference, error) {
	if f.preview.path == "" {
		f.preview.path = "."
	}
	first, err := f.preview.first(in)
	if err != nil {
		return nil, err
	}
	before, err := f.preview.build(ctx, g, f.from, first)
	if err != nil {
		return nil, err
	}
	after, err := f.preview.build(ctx, g, f.to, first)
	if err != nil {
		return nil, err
	}
	return preview.Diff(before, after), nil
}

// live makes the engine's plans and carries none out.
func (f diffFlags) live(ctx context.Context, g *global) ([]preview.Difference, error) {
	f.logFormat, f.inventory = "text", mostInStatus
	f.defaults = settings.Values{
		"log-level": "error", "allow-remote-bases": strconv.FormatBool(f.preview.remote),
		"kustomize-controller.strict-substitution-mode": strconv.FormatBool(!f.preview.lenient),
	}
	f.storageFlags.add(&pflag.FlagSet{}) // the usual ones
	options, err := f.prepare(ctx, g)
	if err != nil {
		return nil, err
	}
	options.DryRun = true
	if f.preview.path != "" {
		tree, err := preview.Folder(f.preview.path)
		if err != nil {
			return nil, usage(err)
		}
		for i, kind := range options.Sources.Kinds {
			if kind.GVK().Kind == sourcev1.GitRepositoryKind {
				options.Sources.Kinds[i] = workingTree{kind, tree}
			}
		}
	}
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	options.LeaderElection.Identity = fmt.Sprintf("diff-%d", os.Getpid())
	o := &once{cluster: options.Cluster, options: options, show: newProgress(g.err)}
	s, err := o.run(ctx, limited)
	o.show.end()
	if err != nil {
		return nil, ended(ctx, limited, err)
	}
	if s.Result == resultTimeout || s.Result == resultInterrupted {
		return nil, s.print(io.Discard, "text")
	}
	return differencesOf(s), nil
}

// differencesOf is what a dry run found.
func differencesOf(s summary) []preview.Difference {
	var out []preview.Difference
	for _, r := range s.Objects {
		d := preview.Difference{}
		if name, isUnit := strings.CutPrefix(r.ID, "Kustomization/"); isUnit {
			d.Unit = name
		} else if name, isRelease := strings.CutPrefix(r.ID, "HelmRelease/"); isRelease {
			d.Release = name
		} else {
			continue
		}
		if r.State == string(failed) {
			d.Error = r.Message
		}
		d.LeftOut = r.LeftOut
		for _, c := range r.Changes {
			if c.Hook {
				d.Hooks = append(d.Hooks, preview.Change{Object: c.ID, Action: c.Action, At: c.Detail})
				continue
			}
			d.Changes = append(d.Changes, preview.Change{Object: c.ID, Action: c.Action, Fields: c.Fields})
		}
		preview.Sort(d.Changes)
		if d.Error != "" || d.LeftOut != "" || len(d.Changes) > 0 || len(d.Hooks) > 0 {
			out = append(out, d)
		}
	}
	return out
}

// workingTree stands for every GitRepository: a folder of this machine.
type workingTree struct {
	fetch.Kind
	tree source.MemoryTree
}

// Fetch implements fetch.Kind.
func (w workingTree) Fetch(_ context.Context, _ fetch.Cluster, obj fetch.Object, _ source.Snapshot) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.GitRepository)
	visible, err := source.Ignored(w.tree, repo.Spec.Ignore)
	if err != nil {
		return source.Snapshot{}, err
	}
	digest, err := new(source.Digests).Of(visible)
	return source.Snapshot{Revision: "local@" + digest, Digest: digest, Tree: visible}, err
}

// Open implements fetch.Kind: nothing was fetched before.
func (workingTree) Open(context.Context, fetch.Cluster, fetch.Object) (source.Snapshot, error) {
	return source.Snapshot{}, errors.New("the working tree was not looked at yet")
}

// signs stand before an object.
var signs = map[string]string{"deleted": "-", "created": "+", "configured": "~", "recreated": "!"}

func printDifferences(out io.Writer, format string, differences []preview.Difference) error {
	if format == "markdown" {
		return markdown(out, differences)
	}
	if differences == nil {
		differences = []preview.Difference{}
	}
	return printValue(out, format, differences, func(out io.Writer) error {
		if len(differences) == 0 {
			fmt.Fprintln(out, "no difference")
		}
		for _, d := range differences {
			kind, name := d.Title()
			fmt.Fprintf(out, "%s/%s\n", kind, name)
			printChanges(out, d)
		}
		return nil
	})
}

func printChanges(out io.Writer, d preview.Difference) {
	if d.Error != "" {
		fmt.Fprintf(out, "  ! %s\n", strings.ReplaceAll(d.Error, "\n", "\n    "))
	}
	if d.LeftOut != "" {
		fmt.Fprintf(out, "  ? left out: %s\n", d.LeftOut)
	}
	for _, c := range slices.Concat(d.Changes, hooks(d.Hooks)) {
		sign, ok := signs[c.Action]
		if !ok {
			sign = "·"
		}
		fmt.Fprintf(out, "  %s %s %s", sign, c.Object, c.Action)
		if c.At != "" {
			fmt.Fprintf(out, ": %s", c.At)
		}
		fmt.Fprintln(out)
		for _, field := range c.Fields {
			fmt.Fprintf(out, "      %s: %s -> %s\n", field.Path, shownValue(field.Before), shownValue(field.After))
		}
	}
}

// hooks are changes of hooks, named as such.
func hooks(changes []preview.Change) []preview.Change {
	out := slices.Clone(changes)
	for i := range out {
		out[i].Object = "hook " + out[i].Object
	}
	return out
}

func shownValue(value string) string {
	if value == "" {
		return "(none)"
	}
	return value
}

// markdown is for comments on pull requests.
func markdown(out io.Writer, differences []preview.Difference) error {
	if len(differences) == 0 {
		_, err := fmt.Fprintln(out, "No difference.")
		return err
	}
	for _, d := range differences {
		kind, name := d.Title()
		fmt.Fprintf(out, "### %s `%s`\n\n```diff\n", kind, name)
		var text strings.Builder
		printChanges(&text, d)
		for line := range strings.Lines(text.String()) {
			fmt.Fprint(out, strings.TrimPrefix(line, "  "))
		}
		fmt.Fprint(out, "```\n\n")
	}
	return nil
}
