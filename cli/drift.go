package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/explain"
)

type driftFlags struct {
	namespace, output, from, engine string
}

func newDrift(g *global) *cobra.Command {
	var f driftFlags
	cmd := &cobra.Command{
		Use:   "drift [NAME]",
		Short: "Show what others changed, and what became of it",
		Long: `Shows the last differences that a running engine found on the cluster and put back, or
only reported: by object and field, who wrote it, and the values before and after.
Values of Secrets are never shown. The engine keeps a bounded number of them in memory.`,
		Example: `  plumb drift -n flux-system
  plumb drift apps -n flux-system -o json
  plumb drift apps --from http://127.0.0.1:8080`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("%s: want at most one Kustomization", cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return showDrift(cmd.Context(), g, f, args) },
	}
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "", "namespace of the Kustomization (default: that of the kubeconfig's context)")
	cmd.Flags().StringVar(&f.from, "from", "", "address of the engine's --metrics-addr (default: its pod, through the API server)")
	cmd.Flags().StringVar(&f.engine, "engine-namespace", "flux-system", "namespace that Plumb runs in")
	cmd.Flags().StringVarP(&f.output, "output", "o", "text", "text, json or yaml")
	return cmd
}

func showDrift(ctx context.Context, g *global, f driftFlags, args []string) error {
	l, err := g.lookup(f.namespace)
	if err != nil {
		return err
	}
	raw, err := f.fetch(ctx, l)
	if err != nil {
		return err
	}
	var all []drift.Report
	if err := json.Unmarshal(raw, &all); err != nil {
		return fmt.Errorf("the engine's answer cannot be read: %w", err)
	}
	reports := make([]drift.Report, 0, len(all))
	for _, r := range all {
		namespace, name, _ := strings.Cut(r.Unit, "/")
		if namespace == l.namespace && (len(args) == 0 || args[0] == name) {
			reports = append(reports, r)
		}
	}
	return printValue(g.out, f.output, reports, func(out io.Writer) error { return printDrift(out, reports) })
}

// fetch asks the engine, at an address or in its pod.
func (f driftFlags) fetch(ctx context.Context, l *lookup) ([]byte, error) {
	address, client := strings.TrimSuffix(f.from, "/")+"/drift", http.DefaultClient
	if f.from == "" {
		pod, err := f.pod(ctx, l)
		if err != nil {
			return nil, err
		}
		base, err := url.Parse(l.Config.Host)
		if err != nil {
			return nil, err
		}
		address, client = base.JoinPath("api/v1/namespaces", f.engine, "pods", pod+":8080", "proxy/drift").String(), l.HTTP
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, usage(fmt.Errorf("--from %s: want a URL such as http://127.0.0.1:8080", f.from))
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the engine: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the engine: %s answers with status %d", address, answer.StatusCode)
	}
	return io.ReadAll(answer.Body)
}

// pod is a running pod of the engine.
func (f driftFlags) pod(ctx context.Context, l *lookup) (string, error) {
	pods, err := l.List(ctx, explain.PodKind, f.engine, enginePods)
	if err != nil {
		return "", err
	}
	if len(pods) == 0 {
		return "", fmt.Errorf("no pod of Plumb runs in namespace %s: give --engine-namespace, or --from with the address of an engine that runs elsewhere", f.engine)
	}
	return pods[0].GetName(), nil
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
