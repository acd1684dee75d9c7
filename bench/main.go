// Bench measures Plumb as it is released, on a development cluster of its own,
// and each case beside its floor in the same run: the same objects written by a
// bare loop. `make bench` runs it; docs/performance.md has its figures.
//
// A case is a function over a lab, which has a fresh cluster, a Git server and an
// engine as a process of its own. A case is made of steps, and each step is one
// Row: a line of JSON, and a line of the table at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bench is one run.
type bench struct {
	root     string        // of the repository
	out      string        // folder of the results
	commit   string        // what is measured
	patience time.Duration // how long any wait may take
	profiles bool          // whether CPU profiles of the engine are kept
	args     []string      // further arguments of the engine
	rows     []Row
}

// bout is a case in one size.
type bout struct {
	name string
	run  func(context.Context, *lab, int) error
	n    []int // the sizes of a run that names none
}

// bouts are all cases, in their order. Their sizes are such that all of it takes a
// quarter of an hour; docs/performance.md is made with greater ones.
var bouts = []bout{
	{"mttp-kustomization", kustomizations, []int{100, 500}},
	{"mttp-helm", releases(0), []int{100}},
	{"mttp-helm-100-definitions", releases(100), []int{20}},
	{"mttp-helm-500-definitions", releases(500), []int{20}},
	{"mttp-oci", artifacts, []int{100}},
	{"big-set", bigSet(configMap), []int{3000}},
	{"big-set-deployments", bigSet(bareDeployment), []int{1000}},
	{"chain", chain, []int{20, 100}},
	{"failing-one", failing(func(int) int { return 1 }), []int{200}},
	{"failing-half", failing(func(n int) int { return n / 2 }), []int{200}},
	{"restart", restart, []int{300}},
	{"many-small", manySmall, []int{1000}},
	{"drift-storm", driftStorm, []int{1000}},
	{"diff", diff, []int{200}},
	{"big-repo", bigRepo, []int{100_000}},
	{"index", index, []int{10_000}},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	b := &bench{}
	names := flag.String("case", "", "cases to run, separated by commas; all when empty")
	sizes := flag.String("n", "", "sizes to run them in, separated by commas; each case's own when empty")
	args := flag.String("engine-args", "", "further arguments of plumb run, separated by spaces")
	flag.StringVar(&b.root, "root", ".", "folder of the repository")
	flag.DurationVar(&b.patience, "patience", 15*time.Minute, "how long one step may take")
	flag.BoolVar(&b.profiles, "profile", false, "keep CPU profiles of the engine, in out/profiles")
	flag.Parse()
	b.args = strings.Fields(*args)
	b.out = filepath.Join(b.root, "bench", "out")
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	chosen, err := choose(*names, *sizes)
	if err != nil {
		return err
	}
	b.commit = b.revision(ctx)
	var errs []error
	for _, c := range chosen {
		for _, n := range c.n {
			if err := b.one(ctx, c, n); err != nil {
				errs = append(errs, fmt.Errorf("%s N=%d: %w", c.name, n, err))
			}
			if ctx.Err() != nil {
				return errors.Join(errs...)
			}
		}
	}
	b.table(os.Stdout)
	return errors.Join(append(errs, b.draw())...)
}

// choose finds the cases of a run.
func choose(names, sizes string) ([]bout, error) {
	var n []int
	for text := range strings.SplitSeq(sizes, ",") {
		if text == "" {
			continue
		}
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 {
			return nil, fmt.Errorf("N=%s: %q is no size", sizes, text)
		}
		n = append(n, size)
	}
	var chosen []bout
	wanted := strings.FieldsFunc(names, func(r rune) bool { return r == ',' })
	for _, c := range bouts {
		if len(wanted) > 0 && !slices.Contains(wanted, c.name) {
			continue
		}
		if n != nil {
			c.n = n
		}
		chosen = append(chosen, c)
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(bouts, func(c bout) bool { return c.name == name }) {
			return nil, fmt.Errorf("CASE=%s: there is no case %s", names, name)
		}
	}
	return chosen, nil
}

// one runs one case in one size, on a cluster that is made for it: what a case
// leaves behind would be in the way of the next.
func (b *bench) one(ctx context.Context, c bout, n int) error {
	fmt.Fprintf(os.Stderr, "== %s N=%d\n", c.name, n)
	l, err := b.open(ctx, c.name, n)
	if err != nil {
		return err
	}
	err = c.run(ctx, l, n)
	return errors.Join(err, l.close(err != nil))
}
