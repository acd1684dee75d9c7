package cli

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/plumb-gitops/plumb/fluxconfig/flags"
)

// configTree is plumb config, with all below it.
func configTree(t *testing.T) *cobra.Command {
	t.Helper()
	cmd, _, err := newRoot(&global{out: io.Discard, err: io.Discard}).Find([]string{"config"})
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestCommandLineOfAzure: each command, flag and key of the list is known, by each of
// its names.
func TestCommandLineOfAzure(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("../testdata/contract/az-k8s-configuration-flux.tsv")
	if err != nil {
		t.Fatal(err)
	}
	root := configTree(t)
	seen := 0
	for line := range strings.Lines(string(list)) {
		cells := strings.Split(strings.TrimSpace(line), "\t")
		switch cells[0] {
		case "command":
			if cmd, rest, err := root.Find(strings.Fields(cells[1])); err != nil || len(rest) > 0 || !cmd.Runnable() {
				t.Errorf("no command %s", cells[1])
			}
		case "flag":
			for _, name := range cells[1:] {
				if !slices.ContainsFunc(leaves(root), func(cmd *cobra.Command) bool { return hasFlag(cmd, name) }) {
					t.Errorf("no command has %s", name)
				}
			}
		case "key":
			value := map[string]string{"name": "a", "prune": "true", "force": "true", "disable-health-check": "true"}[cells[1]]
			if value == "" {
				value = "10m"
			}
			words := []string{"name=a", cells[1] + "=" + value}
			if _, err := flags.Kustomization(slices.Compact(words)); err != nil {
				t.Error(err)
			}
		default:
			continue
		}
		seen++
	}
	if seen < 90 {
		t.Errorf("the list has %d entries only", seen)
	}
}

func hasFlag(cmd *cobra.Command, name string) bool {
	if long, isLong := strings.CutPrefix(name, "--"); isLong {
		return cmd.Flags().Lookup(long) != nil
	}
	return cmd.Flags().ShorthandLookup(strings.TrimPrefix(name, "-")) != nil
}

// TestWordsReachTheFlags: from the arguments to what is given.
func TestWordsReachTheFlags(t *testing.T) {
	t.Parallel()
	args := []string{"create", "-n", "fleet", "--kind", "oci", "-k", "name=a", "prune=true", "--kustomization", "name=b", "--verification-config", "a.pub=QQ==", "b.pub=Qg==", "--suspend", "false", "--use-workload-identity"}
	cmd, rest, err := configTree(t).Find(flags.Expand(append([]string{"config"}, args...))[1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	got, err := given(cmd)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"kind": "oci", "suspend": "false", "use-workload-identity": "true", "verification-config": "a.pub=QQ== b.pub=Qg==",
	} {
		if strings.Join(got[name], " ") != want {
			t.Errorf("--%s is %q, want %q", name, got[name], want)
		}
	}
	if words := flags.Split(got["kustomization"]...); strings.Join(words, " ") != "name=a prune=true name=b" || len(got["kustomization"]) != 2 {
		t.Errorf("--kustomization is %q", got["kustomization"])
	}
	if _, is := got["scope"]; is {
		t.Error("--scope is given by its default")
	}
}
