package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// codeRow is a line of a table of exit codes.
var codeRow = regexp.MustCompile(`(?m)^\| (\d+) \| (.*\S) \|$`)

// TestExitCodesOfPages: README has them all, and each page which of them its command
// has.
func TestExitCodesOfPages(t *testing.T) {
	t.Parallel()
	codes := func(page string) []string {
		_, table, _ := strings.Cut(read(t, page), "\n## Exit codes\n")
		var out []string
		for _, row := range codeRow.FindAllStringSubmatch(table, -1) {
			out = append(out, row[1])
		}
		return out
	}
	var all []string
	for _, code := range []int{exitOK, exitFailed, exitUsage, exitTimeout, exitMemory, exitInterrupted} {
		all = append(all, fmt.Sprint(code))
	}
	if have := codes("../docs/commands/README.md"); !slices.Equal(have, all) {
		t.Errorf("README.md has the codes %v, the command line has %v", have, all)
	}
	for _, cmd := range documented() {
		have := codes("../docs/commands/" + pageOf(cmd) + ".md")
		for _, always := range []int{exitOK, exitUsage} {
			if !slices.Contains(have, fmt.Sprint(always)) {
				t.Errorf("%s.md: no code %d", pageOf(cmd), always)
			}
		}
		timeout := cmd.Flags().Lookup("wait-timeout") != nil || cmd.Flags().Lookup("timeout") != nil && !strings.HasPrefix(cmd.Name(), "create") && !strings.HasPrefix(cmd.Name(), "update")
		if timeout != slices.Contains(have, fmt.Sprint(exitTimeout)) {
			t.Errorf("%s.md: that its time may run out is %t, its codes are %v", pageOf(cmd), timeout, have)
		}
		for _, code := range have {
			if !slices.Contains(all, code) {
				t.Errorf("%s.md: a code %s, which there is none of", pageOf(cmd), code)
			}
		}
	}
}

// TestFormsOfOutput: a form that a command does not have is refused before a cluster is
// asked, by all alike; and --help and the completion say which there are.
func TestFormsOfOutput(t *testing.T) {
	t.Parallel()
	arguments := map[string][]string{"get": {"ks"}, "tree": {"ks/x"}, "why": {"ks/x"}, "reconcile": {"ks/x"}}
	for _, cmd := range documented() {
		flag := cmd.Flags().Lookup("output")
		if flag == nil || ofAzure(cmd) {
			continue
		}
		var errOut strings.Builder
		args := append(append(strings.Fields(cmd.CommandPath())[1:], arguments[cmd.Name()]...), "-o", "nonsense", "--kubeconfig", filepath.Join(t.TempDir(), "none"))
		if code := Main(args, io.Discard, &errOut); code != exitUsage || !strings.Contains(errOut.String(), "-o nonsense: want ") {
			t.Errorf("%v: exit code %d, %s", args, code, errOut.String())
		}
		if !strings.Contains(flag.Usage, "json") || flag.Shorthand != "o" {
			t.Errorf("%s -%s, --output: %s", cmd.Name(), flag.Shorthand, flag.Usage)
		}
	}
}

// ofAzure tells whether a command has the habits of az, where -n is a name.
func ofAzure(cmd *cobra.Command) bool { return strings.HasPrefix(cmd.CommandPath(), "plumb config") }

// TestNamespaceFlags: -n wherever a command has a namespace.
func TestNamespaceFlags(t *testing.T) {
	t.Parallel()
	for _, cmd := range documented() {
		if flag := cmd.Flags().Lookup("namespace"); flag != nil && flag.Shorthand != "n" && !ofAzure(cmd) {
			t.Errorf("%s --namespace has the short form %q", cmd.Name(), flag.Shorthand)
		}
	}
}
