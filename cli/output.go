package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// textForms are the forms of what is no list of objects.
var textForms = []string{"text", "json", "yaml"}

// outputFlag is -o with the forms that a command has, the first by default.
func outputFlag(cmd *cobra.Command, output *string, forms ...string) {
	cmd.Flags().StringVarP(output, "output", "o", forms[0], either(forms))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)) // it fails only for a flag that is not there
}

// checkOutput refuses a form that a command does not have.
func checkOutput(output string, forms []string) error {
	if slices.Contains(forms, output) {
		return nil
	}
	return usage(fmt.Errorf("-o %s: want %s", output, either(forms)))
}

// either is a list in words: "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// printValue prints a value as json or yaml, or by text for people.
func printValue(out io.Writer, format string, value any, text func(io.Writer) error) error {
	switch format {
	case "text", "table", "wide":
		return text(out)
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	case "yaml":
		raw, err := yaml.Marshal(value)
		if err == nil {
			_, err = out.Write(raw)
		}
		return err
	default:
		return checkOutput(format, textForms)
	}
}

// printTable prints rows below a header, in columns as wide as kubectl's.
func printTable(out io.Writer, header []string, rows [][]string) error {
	w := printers.GetNewTabWriter(out)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
