package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/yaml"
)

// printValue prints a value as json or yaml, or by text for people.
func printValue(out io.Writer, format string, value any, text func(io.Writer) error) error {
	switch format {
	case "text", "table", "wide":
		return text(out)
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case "yaml":
		raw, err := yaml.Marshal(value)
		if err == nil {
			_, err = out.Write(raw)
		}
		return err
	default:
		return usage(fmt.Errorf("-o %s: want text, json or yaml", format))
	}
}

// printTable prints rows below a header, in columns.
func printTable(out io.Writer, header []string, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
