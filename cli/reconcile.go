package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/settings"
)

type reconcileFlags struct {
	engineFlags
	once    bool
	dryRun  bool
	files   []string
	timeout time.Duration
	output  string
}

func newReconcile(g *global) *cobra.Command {
	var f reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile --once",
		Short: "Bring the cluster to what its sources say, once, and tell how it went",
		Long: `Installs the definitions that are missing, applies the given objects, works on
every source and Kustomization in the cluster until each has come to an end, and
prints what was done. Where a running Plumb holds the cluster's lease, the work
is handed to it and only watched.

Exit codes: 0 all ready, 1 something failed, 2 bad usage, 3 timed out,
130 interrupted.`,
		Example: `  # what the cluster already holds
  plumb reconcile --once

  # what would be done
  plumb reconcile --once --dry-run

  # from nothing, in CI
  plumb reconcile --once -f clusters/staging/ --timeout 10m -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return reconcile(cmd.Context(), g, f, cmd.InOrStdin())
		},
	}
	f.add(cmd, settings.Values{"log-level": "error"})
	cmd.Flags().BoolVar(&f.once, "once", false, "stop when everything has come to an end (required: plumb run keeps going)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "write nothing, and print what would be done")
	cmd.Flags().StringArrayVarP(&f.files, "filename", "f", nil, "file or folder with objects to apply first, - for standard input; repeatable")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this long")
	cmd.Flags().StringVarP(&f.output, "output", "o", "text", "text or json")
	return cmd
}

func reconcile(ctx context.Context, g *global, f reconcileFlags, in io.Reader) error {
	if !f.once {
		return usage(errors.New("give --once for a single run; `plumb run` keeps going"))
	}
	if f.output != "text" && f.output != "json" {
		return usage(fmt.Errorf("-o %s: want text or json", f.output))
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
	options.Off.FluxConfigs = true // a run that ends can't keep what they stand for; what is there of it is driven as it is
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
	write := s.writeTree
	if output == "json" {
		write = s.writeJSON
	}
	if err := write(w); err != nil {
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
	expected, err := list(running, o.cluster, o.options.Namespaces)
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
	return summarise(t, result(ctx, limited, t)), failure(ctx, limited, err)
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
	items, err := list(ctx, o.cluster, o.options.Namespaces)
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
