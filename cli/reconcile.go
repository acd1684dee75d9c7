package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/settings"
)

type reconcileFlags struct {
	engineFlags
	requestFlags
	once    bool
	dryRun  bool
	files   []string
	timeout time.Duration
	output  string
}

func newReconcile(g *global) *cobra.Command {
	var f reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile KIND/NAME... | --once",
		Short: "Have objects looked at now, or bring the whole cluster to what its sources say once",
		Long: `With KIND/NAME, a running Plumb is asked to look at these objects now, and the command waits
until it has: use it where Plumb runs in the cluster. With --with-source their sources come
first.

With --once, no Plumb needs to run: use it in CI and for a first try. The command installs
the definitions that are missing, applies the given objects, works on every source and
Kustomization in the cluster until each has come to an end, and prints what was done. Where
a running Plumb holds the cluster's lease, the work is handed to it and only watched.

Exit codes: 0 all ready, 1 something failed, 2 bad usage, 3 timed out,
130 interrupted.`,
		Example: `  # one object, by the Plumb in the cluster
  plumb reconcile kustomization/apps -n flux-system --with-source

  # release again what failed too often
  plumb reconcile hr/podinfo -n apps --force --reset

  # everything that the cluster already holds, without one
  plumb reconcile --once

  # what would be done
  plumb reconcile --once --dry-run

  # from nothing, in CI
  plumb reconcile --once -f clusters/staging/ --timeout 10m -o json`,
		Args: func(cmd *cobra.Command, args []string) error { return f.forms(g, cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.once {
				return reconcile(cmd.Context(), g, f, cmd.InOrStdin())
			}
			return requestObjects(cmd.Context(), g, f, args)
		},
		ValidArgsFunction: g.completeObjects("all", "sources"),
	}
	f.engineFlags.add(cmd, settings.Values{"log-level": "error"})
	f.requestFlags.add(g, cmd)
	cmd.Flags().BoolVar(&f.once, "once", false, "work on everything, without a running Plumb, and stop when all has come to an end")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "with --once: write nothing, and print what would be done")
	cmd.Flags().StringArrayVarP(&f.files, "filename", "f", nil, "with --once: file or folder with objects to apply first, - for standard input; repeatable")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this long")
	outputFlag(cmd, &f.output, textForms...)
	return cmd
}

// eitherForm are the flags that both forms of the command have.
var eitherForm = []string{"once", "timeout", "output", "kubeconfig", "context", "help"}

// forms refuses arguments and flags of the other form of the command.
func (f *reconcileFlags) forms(g *global, cmd *cobra.Command, args []string) (err error) {
	switch {
	case f.once && len(args) > 0:
		return usage(fmt.Errorf("%s: --once works on everything: leave one of the two out", strings.Join(args, " ")))
	case !f.once && len(args) == 0:
		return usage(errors.New("give KIND/NAME to have a running Plumb look at an object now, or --once to work on everything without one; `plumb run` keeps going"))
	}
	asking := &cobra.Command{} // to know which flags they are
	(&requestFlags{}).add(g, asking)
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		switch ofRequests := asking.Flags().Lookup(flag.Name) != nil; {
		case slices.Contains(eitherForm, flag.Name):
		case f.once && ofRequests:
			err = usage(fmt.Errorf("--%s goes with KIND/NAME, not with --once", flag.Name))
		case !f.once && !ofRequests:
			err = usage(fmt.Errorf("--%s goes with --once, not with KIND/NAME", flag.Name))
		}
	})
	return err
}

func reconcile(ctx context.Context, g *global, f reconcileFlags, in io.Reader) error {
	if err := checkOutput(f.output, textForms); err != nil {
		return err
	}
	if f.dryRun && len(f.files) > 0 {
		return usage(errors.New("--dry-run writes nothing, and so can't apply what -f names: see plumb diff"))
	}
	objs, err := readManifests(f.files, in)
	if err != nil {
		return err
	}
	options, err := f.prepare(ctx, g)
	if err != nil {
		return err
	}
	if options.Off.Sources || options.Off.Kustomizations {
		return usage(errOff)
	}
	cluster := options.Cluster
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := f.alone(limited, cluster); err != nil {
		return ended(ctx, limited, err)
	}
	options.DryRun = f.dryRun
	options.Off.FluxConfigs = f.dryRun // what one is going to stand for can't be looked at before it is there
	if !f.dryRun {
		if err := installMissing(limited, cluster, g.err); err != nil {
			return ended(ctx, limited, err)
		}
		if err := applyObjects(limited, cluster, objs, g.namespace()); err != nil {
			return ended(ctx, limited, err)
		}
	}
	options.LeaderElection.Identity = fmt.Sprintf("once-%d-%x", os.Getpid(), time.Now().UnixNano())
	o := &once{cluster: cluster, options: options, show: newProgress(g.err)}
	s, err := o.run(ctx, limited)
	o.show.end()
	if err != nil {
		return ended(ctx, limited, err)
	}
	return s.print(g.out, f.output)
}

// ended tells a time-out and Ctrl-C from other errors.
func ended(ctx, limited context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted")}
	case limited.Err() != nil:
		return &exitError{exitTimeout, fmt.Errorf("timed out: %w", err)}
	default:
		return err
	}
}

// print writes the summary and turns its result into the exit code.
func (s summary) print(w io.Writer, output string) error {
	if err := printValue(w, output, s, s.writeTree); err != nil {
		return err
	}
	switch s.Result {
	case resultReady:
		return nil
	case resultTimeout:
		return &exitError{exitTimeout, errors.New("timed out before everything had come to an end: see above for what is still Working")}
	case resultInterrupted:
		return &exitError{exitInterrupted, errors.New("interrupted")}
	default:
		return &exitError{exitFailed, errors.New("not everything is ready: see above")}
	}
}

// The results of a one-shot run.
const (
	resultReady       = "ready"
	resultFailed      = "failed"
	resultTimeout     = "timeout"
	resultInterrupted = "interrupted"
)

// once is a one-shot run.
type once struct {
	cluster *kube.Cluster
	options engine.Options
	show    *progress
}

// run drives everything to an end. It fails only if it could not start; how it
// ended otherwise is in the summary.
func (o *once) run(ctx, limited context.Context) (summary, error) {
	running, cancel := context.WithCancel(limited)
	defer cancel()
	news := make(chan engine.Progress, 1024)
	expected, err := o.list(running)
	if err != nil {
		return summary{}, err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- o.drive(running, news) }()
	t := newTracker(o.options.Namespaces)
	for _, item := range expected {
		t.expect(item.id())
	}
	err = o.follow(running, t, news, stopped)
	cancel()
	if err == nil {
		<-stopped //nolint:errcheck // it was told to; the lease is given back before we are gone
	}
	s := summarise(t, result(ctx, limited, t))
	if o.options.DryRun && err == nil && limited.Err() == nil {
		err = o.upcoming(limited, t, &s)
	}
	return s, failure(ctx, limited, err)
}

// follow takes in news until every object has come to an end. What is in the
// cluster then is compared once more, since an object may have been added.
func (o *once) follow(ctx context.Context, t *tracker, news <-chan engine.Progress, stopped <-chan error) error {
	for {
		if t.done() {
			more, err := o.missed(ctx, t)
			if err != nil || !more {
				return err
			}
		}
		select {
		case p := <-news:
			t.note(p)
			o.show.note(p, t)
		case err := <-stopped:
			if err == nil {
				err = errors.New("the engine stopped before everything had come to an end")
			}
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// missed adds what came into the cluster meanwhile and tells if there was any.
func (o *once) missed(ctx context.Context, t *tracker) (bool, error) {
	items, err := o.list(ctx)
	if err != nil {
		return false, err
	}
	more := false
	for _, item := range items {
		if t.objects[item.id()] == nil {
			t.expect(item.id())
			more = true
		}
	}
	return more, nil
}

// drive runs the engine, or, where another one has the cluster's lease or gets it
// first, hands the work over to that.
func (o *once) drive(ctx context.Context, news chan<- engine.Progress) error {
	alone, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.options.DryRun { // it gets in nobody's way
		o.options.LeaderElection.Enabled = false
		return o.engine(ctx, news)
	}
	rival, stopped := make(chan string, 1), make(chan error, 1)
	holder, err := leaseHolder(ctx, o.cluster, o.options.LeaderElection)
	if err != nil {
		return err
	}
	if holder == "" {
		go o.awaitRival(alone, rival)
		go func() { stopped <- o.engine(alone, news) }()
		select {
		case err := <-stopped:
			return err
		case holder = <-rival:
			cancel()
			<-stopped //nolint:errcheck // it was told to, and never led
		}
	}
	o.show.line("handing over to the running Plumb %s", holder)
	return o.handOver(ctx, news)
}

// awaitRival tells when somebody else holds the lease.
func (o *once) awaitRival(ctx context.Context, rival chan<- string) {
	election := o.options.LeaderElection
	key := kube.Key{ObjMetadata: object.ObjMetadata{Namespace: election.Namespace, Name: election.Name, GroupKind: leaseKind.GroupKind()}, Version: leaseKind.Version}
	_ = until(ctx, o.cluster, key, func(obj *unstructured.Unstructured) bool { // it ends with ctx
		if obj == nil {
			return false
		}
		holder := holderOf(obj, time.Now())
		if holder == "" || holder == election.Identity {
			return false
		}
		rival <- holder
		return true
	})
}

func (o *once) engine(ctx context.Context, news chan<- engine.Progress) error {
	options := o.options
	options.Observe = func(p engine.Progress) {
		select {
		case news <- p:
		case <-ctx.Done():
		}
	}
	return engine.Run(ctx, options, nil)
}

func result(ctx, limited context.Context, t *tracker) string {
	counts := t.counts()
	switch {
	case ctx.Err() != nil:
		return resultInterrupted
	case limited.Err() != nil && counts[working] > 0:
		return resultTimeout
	case counts[failed]+counts[held]+counts[working] > 0:
		return resultFailed
	default:
		return resultReady
	}
}

// failure drops errors that only say that time ran out or Ctrl-C was pressed:
// the result says that.
func failure(ctx, limited context.Context, err error) error {
	if ctx.Err() != nil || limited.Err() != nil {
		return nil //nolint:nilerr // the result says it
	}
	return err
}

// namespace is where objects go that name none.
func (g *global) namespace() string {
	if name := os.Getenv("PLUMB_NAMESPACE"); name != "" {
		return name
	}
	return "default"
}
