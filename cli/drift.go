package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plumb-gitops/plumb/drift"
)

type driftFlags struct {
	namespace, output, from, engine string
	everywhere                      bool
}

func newDrift(g *global) *cobra.Command {
	var f driftFlags
	cmd := &cobra.Command{
		Use:   "drift [KIND/NAME... | NAME]",
		Short: "Show what others changed, and what became of it",
		Long: `Shows the last differences that a running engine found on the cluster and put back, or
only reported: by object and field, who wrote it, and the values before and after. Of all
Kustomizations and HelmReleases of a namespace, or of those that are named; a NAME alone is
that of a Kustomization. Values of Secrets are never shown. The engine keeps a bounded number
of them in memory.`,
		Example: `  plumb drift -n flux-system
  plumb drift -A
  plumb drift ks/apps hr/podinfo -n flux-system -o json
  plumb drift apps --from http://127.0.0.1:8080`,
		RunE:              func(cmd *cobra.Command, args []string) error { return showDrift(cmd.Context(), g, f, args) },
		ValidArgsFunction: g.completeObjects(),
	}
	namespaceFlag(g, cmd, &f.namespace)
	cmd.Flags().BoolVarP(&f.everywhere, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().StringVar(&f.from, "from", "", "address of the engine's --metrics-addr (default: its pod, through the API server)")
	cmd.Flags().StringVar(&f.engine, "engine-namespace", "flux-system", "namespace that Plumb runs in")
	outputFlag(cmd, &f.output, textForms...)
	return cmd
}

// units are the names that arguments ask for, as Kind/name or Kind/ for all of a kind;
// none for all. A name alone is that of a Kustomization.
func units(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	_, ofKind := kindsNamed(args[0])
	if len(args) == 1 && !strings.Contains(args[0], "/") && ofKind != nil {
		return []string{"Kustomization/" + args[0]}, nil
	}
	kinds, out, err := named(args)
	for _, kind := range kinds {
		out = append(out, kind+"/")
	}
	return out, err
}

// wants tells whether a report is about one of the units, in a namespace; "" is any.
func wants(units []string, namespace string, r drift.Report) bool {
	in, name, _ := strings.Cut(r.Unit, "/")
	if namespace != "" && in != namespace {
		return false
	}
	return len(units) == 0 || slices.Contains(units, r.Kind+"/"+name) || slices.Contains(units, r.Kind+"/")
}

func showDrift(ctx context.Context, g *global, f driftFlags, args []string) error {
	if err := checkOutput(f.output, textForms); err != nil {
		return err
	}
	wanted, err := units(args)
	if err != nil {
		return err
	}
	l, err := g.lookup(f.namespace)
	if err != nil {
		return err
	}
	all, err := f.fetch(ctx, l)
	if err != nil {
		return err
	}
	namespace := l.namespace
	if f.everywhere {
		namespace = ""
	}
	reports := slices.DeleteFunc(all, func(r drift.Report) bool { return !wants(wanted, namespace, r) })
	return printValue(g.out, f.output, append([]drift.Report{}, reports...), func(out io.Writer) error { return printDrift(out, reports) })
}

// fetch asks the engine, at an address or in its pods. Of several the one that leads
// has found something.
func (f driftFlags) fetch(ctx context.Context, l *lookup) ([]drift.Report, error) {
	if f.from != "" {
		if at, err := url.Parse(f.from); err != nil || at.Host == "" {
			return nil, usage(fmt.Errorf("--from %s: want a URL such as http://127.0.0.1:8080", f.from))
		}
		answer, err := fetchFrom(ctx, http.DefaultClient, strings.TrimSuffix(f.from, "/")+"/drift")
		return readReports(answer, err)
	}
	pods, err := enginePodsIn(ctx, l, f.engine)
	if none := new(errNoEngine); errors.As(err, none) {
		return nil, fmt.Errorf("%w --from with the address of its --metrics-addr", err)
	}
	if err != nil {
		return nil, err
	}
	var out []drift.Report
	for _, pod := range pods {
		answer, err := l.stream(ctx, "api/v1/namespaces/"+f.engine+"/pods/"+pod+":8080/proxy/drift", nil)
		reports, err := readReports(answer, err)
		if err != nil {
			return nil, fmt.Errorf("Pod/%s/%s: %w", f.engine, pod, err)
		}
		out = append(out, reports...)
	}
	return out, nil
}

func readReports(answer io.ReadCloser, err error) (out []drift.Report, _ error) {
	if err != nil {
		return nil, fmt.Errorf("ask the engine: %w", err)
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(&out); err != nil {
		return nil, fmt.Errorf("the engine's answer cannot be read: %w", err)
	}
	return out, nil
}

func printDrift(out io.Writer, reports []drift.Report) error {
	for _, r := range reports {
		what := "reported"
		if r.Corrected {
			what = "put back"
		}
		fmt.Fprintf(out, "%s  %s/%s  %s %s\n", r.Time.Format("2006-01-02T15:04:05Z07:00"), r.Kind, r.Unit, r.Object, what)
		for _, field := range r.Fields {
			fmt.Fprintf(out, "    %s\n", field)
			fmt.Fprintf(out, "      - %s\n      + %s\n", field.Before, field.After)
		}
	}
	return nil
}
