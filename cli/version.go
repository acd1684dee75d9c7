package cli

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// Set when the binary is linked.
var (
	version = "v0.0.0-dev"
	commit  = "unknown"
)

func newVersion(g *global) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  plumb version\n  plumb version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			return printVersion(g, output)
		},
	}
	outputFlag(cmd, &output, textForms...)
	return cmd
}

func printVersion(g *global, output string) error {
	info := map[string]string{"version": version, "commit": commit, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	switch output {
	case "text":
		_, err := fmt.Fprintf(g.out, "plumb %s (commit %s, %s, %s)\n", version, commit, info["go"], info["platform"])
		return err
	case "json":
		return json.NewEncoder(g.out).Encode(info)
	case "yaml":
		raw, err := yaml.Marshal(info)
		if err == nil {
			_, err = g.out.Write(raw)
		}
		return err
	default:
		return usage(fmt.Errorf("-o %s: want text, json or yaml", output))
	}
}
