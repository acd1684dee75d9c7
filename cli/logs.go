package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/explain"
	"github.com/plumb-gitops/plumb/internal/logline"
)

type logsFlags struct {
	namespace, engine, file, output, level string
	follow, previous                       bool
	since                                  time.Duration
	tail                                   int64
}

func newLogs(g *global) *cobra.Command {
	f := logsFlags{tail: -1}
	cmd := &cobra.Command{
		Use:   "logs [KIND/NAME... | KIND [NAME...]]",
		Short: "Show what the engine logged, about some objects or all",
		Long: `Shows the log of the engine's pods, which it gets through the API server: all lines, or
those about objects of a kind, a name, a namespace, or from a level on. With --file it reads
the log of an engine that runs elsewhere, and asks no cluster.`,
		Example: `  plumb logs -f
  plumb logs kustomization/apps -n flux-system --since 1h
  plumb logs hr -n apps --level error -o json
  plumb logs ks/apps --file plumb.log`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return showLogs(cmd.Context(), g, f, args, cmd.InOrStdin())
		},
		ValidArgsFunction: g.completeObjects("all", "sources"),
	}
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "", "only about objects of this namespace (default: of all)")
	_ = cmd.RegisterFlagCompletionFunc("namespace", g.completeNamespaces) // it fails only for a flag that is not there
	cmd.Flags().StringVar(&f.level, "level", "", either(logline.Levels)+", and what is above it (default: all)")
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on and print each line as it comes, until Ctrl-C")
	cmd.Flags().BoolVarP(&f.previous, "previous", "p", false, "of the containers that ran before the ones that run now")
	cmd.Flags().DurationVar(&f.since, "since", 0, "only lines that are not older than this (default: all)")
	cmd.Flags().Int64Var(&f.tail, "tail", f.tail, "only so many lines of the end of the log, before others are left out; -1 for all")
	cmd.Flags().StringVar(&f.engine, "engine-namespace", "flux-system", "namespace that Plumb runs in")
	cmd.Flags().StringVar(&f.file, "file", "", "read this file, or - for standard input, and ask no cluster")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

// check refuses flags that can't be meant.
func (f logsFlags) check() error {
	switch {
	case f.level != "" && !slices.Contains(logline.Levels, strings.ToLower(f.level)):
		return usage(fmt.Errorf("--level %s: want %s", f.level, either(logline.Levels)))
	case f.file != "" && (f.follow || f.previous):
		return usage(errors.New("--file reads a file to its end: leave --follow and --previous out, or pipe `tail -f` into --file -"))
	case f.tail < -1:
		return usage(fmt.Errorf("--tail %d: want a number of lines, or -1 for all", f.tail))
	default:
		return checkOutput(f.output, []string{"text", "json"})
	}
}

// filter is what the arguments and flags ask for. No cluster is needed for it, since
// an engine logs about Plumb's kinds alone.
func (f logsFlags) filter(args []string) (logline.Filter, error) {
	out := logline.Filter{Namespace: f.namespace, Level: f.level}
	if f.since > 0 {
		out.Since = time.Now().Add(-f.since)
	}
	var err error
	out.Kinds, out.Objects, err = named(args)
	return out, err
}

// named reads arguments about kinds of ours without a cluster: kinds of which all is
// meant, and objects as Kind/name.
func named(args []string) (kinds, objects []string, err error) {
	if strings.Contains(strings.Join(args, " "), "/") {
		for _, arg := range args {
			kind, name, ok := strings.Cut(arg, "/")
			found, err := kindsNamed(kind)
			if !ok || name == "" || err == nil && len(found) != 1 {
				err = usage(fmt.Errorf("%q: want KIND/NAME, such as kustomization/apps", arg))
			}
			if err != nil {
				return nil, nil, err
			}
			objects = append(objects, found[0]+"/"+name)
		}
		return nil, objects, nil
	}
	if len(args) == 0 {
		return nil, nil, nil
	}
	for _, kind := range strings.Split(args[0], ",") {
		found, err := kindsNamed(kind)
		if err != nil {
			return nil, nil, err
		}
		kinds = append(kinds, found...)
	}
	if len(args) == 1 {
		return kinds, nil, nil
	}
	for _, kind := range kinds {
		for _, name := range args[1:] {
			objects = append(objects, kind+"/"+name)
		}
	}
	return nil, objects, nil
}

// kindsNamed are kinds of ours by a name of one or a word for several.
func kindsNamed(name string) ([]string, error) {
	lower := strings.ToLower(name)
	belongs, isGroup := groups[lower]
	var out []string
	for _, k := range ourKinds {
		if isGroup && belongs(k) || k.isCalled(lower) {
			out = append(out, k.Kind)
		}
	}
	if len(out) == 0 {
		return nil, unknownKind(name)
	}
	return out, nil
}

func showLogs(ctx context.Context, g *global, f logsFlags, args []string, in io.Reader) error {
	if err := f.check(); err != nil {
		return err
	}
	filter, err := f.filter(args)
	if err != nil {
		return err
	}
	p := &logPrinter{out: g.out, format: f.output, filter: filter}
	if f.file != "" {
		return f.read(p, in)
	}
	l, err := g.lookup(f.engine)
	if err != nil {
		return err
	}
	pods, err := enginePodsIn(ctx, l, f.engine)
	if none := new(errNoEngine); errors.As(err, none) {
		return fmt.Errorf("%w --file with what it wrote to standard error", err)
	}
	if err != nil {
		return err
	}
	err = f.pods(ctx, l, pods, p)
	if f.follow && ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is how that ends
	}
	return err
}

// read prints the lines of a file.
func (f logsFlags) read(p *logPrinter, in io.Reader) error {
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return usage(fmt.Errorf("--file: %w", err))
		}
		defer file.Close()
		in = file
	}
	lines, err := linesOf(in)
	if err != nil {
		return fmt.Errorf("--file %s: %w", f.file, err)
	}
	if f.tail >= 0 {
		lines = lines[max(0, len(lines)-int(f.tail)):]
	}
	return p.print(lines...)
}

// longestLine bounds how long a line of a log may be.
const longestLine = 16 << 20

func scanner(in io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(in)
	s.Buffer(nil, longestLine)
	return s
}

func linesOf(in io.Reader) ([]string, error) {
	var out []string
	s := scanner(in)
	for s.Scan() {
		out = append(out, s.Text())
	}
	return out, s.Err()
}

// enginePodsIn are the pods of the engine that run in a namespace; not to find one is
// an error that says what else may be the case.
func enginePodsIn(ctx context.Context, l *lookup, namespace string) ([]string, error) {
	pods, err := l.List(ctx, explain.PodKind, namespace, enginePods)
	if err != nil {
		return nil, fmt.Errorf("look for the pods of Plumb in namespace %s: %w", namespace, err)
	}
	var names []string
	for _, pod := range pods {
		names = append(names, pod.GetName())
	}
	if len(names) > 0 {
		return names, nil
	}
	found, err := l.List(ctx, deploymentKind, namespace, enginePods)
	if err == nil && len(found) > 0 {
		replicas, _, _ := unstructured.NestedInt64(found[0].Object, "spec", "replicas")
		return nil, fmt.Errorf("Deployment/%s/%s has no pod, of %d that it asks for: plumb why deployment/%s -n %s says more", namespace, found[0].GetName(), replicas, found[0].GetName(), namespace)
	}
	return nil, errNoEngine{namespace}
}

// errNoEngine says that Plumb does not run in a namespace of the cluster.
type errNoEngine struct{ namespace string }

// Error implements error.
func (e errNoEngine) Error() string {
	return fmt.Sprintf("Plumb does not run in namespace %s: give --engine-namespace, or, of an engine that runs elsewhere,", e.namespace)
}

// pods prints the logs of pods: as they come, but of several in the order of time
// unless they are followed.
func (f logsFlags) pods(ctx context.Context, l *lookup, names []string, p *logPrinter) error {
	type timed struct {
		at   time.Time
		text string
	}
	var mu sync.Mutex
	var all []timed
	take := p.print
	if !f.follow && len(names) > 1 {
		take = func(texts ...string) error {
			mu.Lock()
			defer mu.Unlock()
			for _, text := range texts {
				line, _ := logline.Parse(text)
				all = append(all, timed{line.Time, text})
			}
			return nil
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error { return f.pod(ctx, l, name, take) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b timed) int { return a.at.Compare(b.at) })
	for _, line := range all {
		if err := p.print(line.text); err != nil {
			return err
		}
	}
	return nil
}

// pod reads the log of one pod.
func (f logsFlags) pod(ctx context.Context, l *lookup, name string, take func(...string) error) error {
	stream, err := l.stream(ctx, f.path(name), f.query())
	if err != nil {
		return fmt.Errorf("Pod/%s/%s: read its log: %w", f.engine, name, logTrouble(err))
	}
	defer stream.Close()
	s := scanner(stream)
	for s.Scan() {
		if err := take(s.Text()); err != nil {
			return err
		}
	}
	return s.Err()
}

func (f logsFlags) path(pod string) string {
	return "api/v1/namespaces/" + f.engine + "/pods/" + pod + "/log"
}

// query is what the API server is asked for
// (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod).
func (f logsFlags) query() url.Values {
	q := url.Values{}
	for name, set := range map[string]bool{"follow": f.follow, "previous": f.previous} {
		if set {
			q.Set(name, "true")
		}
	}
	if f.since > 0 {
		q.Set("sinceSeconds", strconv.FormatInt(int64(max(1, (f.since+time.Second-1)/time.Second)), 10))
	}
	if f.tail >= 0 {
		q.Set("tailLines", strconv.FormatInt(f.tail, 10))
	}
	return q
}

// logTrouble says what to do when a log can't be read.
func logTrouble(err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; it takes the right to get pods/log", err)
	case apierrors.IsBadRequest(err), apierrors.IsNotFound(err):
		return err
	default:
		return fmt.Errorf("%w; the API server asks the kubelet of the pod's node for it, which has to answer: what the engine did is in plumb events, too", err)
	}
}

// logPrinter prints the lines that are wanted.
type logPrinter struct {
	out    io.Writer
	format string
	filter logline.Filter
	mu     sync.Mutex
}

func (p *logPrinter) print(lines ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range lines {
		line, parsed := logline.Parse(text)
		if !p.filter.Wants(line, parsed) {
			continue
		}
		said := line.Text(parsed)
		if p.format == "json" {
			var err error
			if said, err = line.JSON(parsed); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(p.out, said); err != nil {
			return err
		}
	}
	return nil
}
