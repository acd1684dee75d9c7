package cli

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/plumb-gitops/plumb/fluxconfig/flags"
)

// tree is the command line as it is, with the commands that cobra adds.
func tree() *cobra.Command {
	root := newRoot(&global{out: io.Discard, err: io.Discard})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// documented are the commands that have a page: all of ours, but for groups within
// a group.
func documented() []*cobra.Command {
	var out []*cobra.Command
	for _, cmd := range newRoot(&global{out: io.Discard, err: io.Discard}).Commands() {
		out = append(append(out, cmd), leaves(cmd)...)
	}
	return out
}

// leaves are the commands below one that have none below them.
func leaves(cmd *cobra.Command) (out []*cobra.Command) {
	for _, child := range cmd.Commands() {
		if !child.HasSubCommands() {
			out = append(out, child)
		}
		out = append(out, leaves(child)...)
	}
	return out
}

// pageOf is the name of a command's page.
func pageOf(cmd *cobra.Command) string {
	return strings.ReplaceAll(strings.TrimPrefix(cmd.CommandPath(), "plumb "), " ", "-")
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestEveryCommandHasAPageAndEveryPageACommand(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/commands/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, page := range pages {
		if name := strings.TrimSuffix(filepath.Base(page), ".md"); name != "README" { // what all have in common
			have = append(have, name)
		}
	}
	for _, cmd := range documented() {
		want = append(want, pageOf(cmd))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("docs/commands has pages for %v, the commands are %v", have, want)
	}
}

func TestPagesHaveTheSameSections(t *testing.T) {
	t.Parallel()
	for _, cmd := range documented() {
		page := read(t, "../docs/commands/"+pageOf(cmd)+".md")
		if !strings.HasPrefix(page, "# "+cmd.CommandPath()+"\n") {
			t.Errorf("%s.md: the title is not %q", pageOf(cmd), "# "+cmd.CommandPath())
		}
		for _, section := range []string{"Flags", "Examples", "Ctrl-C", "Exit codes"} {
			if !strings.Contains(page, "\n## "+section+"\n") {
				t.Errorf("%s.md: no section %q", pageOf(cmd), section)
			}
		}
	}
}

// flagRow is a line of a flags table: names, default, meaning.
var flagRow = regexp.MustCompile("(?m)^\\| (?:`-([a-zA-Z])`, )?`--([a-z-]+)` \\| (?:`([^`]*)` )?\\| (.*\\S) \\|$")

func TestPagesListTheFlagsOfTheirCommand(t *testing.T) {
	t.Parallel()
	for _, cmd := range documented() {
		t.Run(pageOf(cmd), func(t *testing.T) { // one after the other: commands share their parent's flags
			page := map[string]string{}
			for _, row := range flagRow.FindAllStringSubmatch(read(t, "../docs/commands/"+pageOf(cmd)+".md"), -1) {
				if _, twice := page[row[2]]; twice {
					t.Errorf("--%s is listed twice", row[2])
				}
				page[row[2]] = fmt.Sprintf("-%s --%s %q", row[1], row[2], row[3])
			}
			actual := map[string]string{}
			for _, set := range []*pflag.FlagSet{cmd.NonInheritedFlags(), cmd.InheritedFlags()} {
				set.VisitAll(func(f *pflag.Flag) {
					actual[f.Name] = fmt.Sprintf("-%s --%s %q", f.Shorthand, f.Name, shownDefault(f))
				})
			}
			for _, name := range slices.Sorted(maps.Keys(union(page, actual))) {
				if page[name] != actual[name] {
					t.Errorf("--%s: the page has [%s], the command has [%s]", name, page[name], actual[name])
				}
			}
		})
	}
}

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// shownDefault leaves out what says nothing.
func shownDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "false", "[]":
		return ""
	default:
		return f.DefValue
	}
}

// TestFlagsAnnounceTheirDefaults holds the text of --help to what happens: some
// defaults are set after the flag was made.
func TestFlagsAnnounceTheirDefaults(t *testing.T) {
	t.Parallel()
	for _, cmd := range documented() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.String() != f.DefValue {
				t.Errorf("%s --%s announces %q and has %q", pageOf(cmd), f.Name, f.DefValue, f.Value)
			}
		})
	}
}

// TestSwitchesAnnounceNoValue: pflag takes words in back quotes for the name of
// the value.
func TestSwitchesAnnounceNoValue(t *testing.T) {
	t.Parallel()
	for _, cmd := range documented() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if name, _ := pflag.UnquoteUsage(f); f.Value.Type() == "bool" && name != "" {
				t.Errorf("%s --%s announces a value %q and takes none", pageOf(cmd), f.Name, name)
			}
		})
	}
}

// example is a command line in a text, and where it is.
type example struct {
	where string
	line  string
}

func TestExamplesParse(t *testing.T) {
	t.Parallel()
	var all []example
	for _, page := range pages(t) {
		all = append(all, examplesOf(page, read(t, page))...)
	}
	for _, cmd := range documented() {
		all = append(all, examplesOf(cmd.CommandPath()+" --help", "```sh\n"+cmd.Example+"\n```\n")...)
	}
	ran := map[string]bool{}
	for _, e := range all {
		for _, args := range plumbArgs(e.line) {
			cmd, err := parse(args)
			if err != nil {
				t.Errorf("%s: %s: %v", e.where, e.line, err)
				continue
			}
			ran[cmd.CommandPath()] = true
		}
	}
	for _, cmd := range documented() {
		if !ran[cmd.CommandPath()] {
			t.Errorf("%s: no example found", cmd.CommandPath())
		}
	}
}

// pages are the README and everything in docs.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var (
	inline   = regexp.MustCompile("`(plumb [^`]+)`")
	word     = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+=(?:"[^"]*"|'[^']*')|\S+`)
	variable = regexp.MustCompile(`^[A-Z_]+=`)
)

// examplesOf are the lines of a page's blocks, lines that go on put together,
// and the code in its text that starts with "plumb ". A span with an ellipsis or
// a placeholder in angle brackets is no example.
func examplesOf(where, text string) []example {
	var out []example
	block, from := false, 0
	lines := strings.Split(text, "\n")
	for n := 0; n < len(lines); n++ {
		line, at := lines[n], n+1
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			block, from = !block, at
			continue
		}
		for block && strings.HasSuffix(line, `\`) && n+1 < len(lines) {
			n++
			line = strings.TrimSuffix(line, `\`) + lines[n]
		}
		place := fmt.Sprintf("%s:%d", where, at)
		switch {
		case block && isShell(lines[from-1]):
			out = append(out, example{place, strings.TrimSpace(line)})
		case !block:
			for _, span := range inline.FindAllStringSubmatch(line, -1) {
				if !strings.ContainsAny(span[1], "<…") {
					out = append(out, example{place, span[1]})
				}
			}
		}
	}
	return out
}

// isShell tells whether a block holds commands and not, say, their output.
func isShell(fence string) bool {
	switch strings.TrimLeft(strings.TrimSpace(fence), "`") {
	case "", "sh", "bash", "shell", "console":
		return true
	default:
		return false
	}
}

// plumbArgs are the arguments of each plumb in a line of shell, without what
// the shell itself takes.
func plumbArgs(line string) [][]string {
	var out [][]string
	var command []string
	end := func() {
		for len(command) > 0 && (command[0] == "$" || variable.MatchString(command[0])) {
			command = command[1:]
		}
		if len(command) > 0 && filepath.Base(command[0]) == "plumb" {
			out = append(out, command[1:])
		}
		command = nil
	}
	for _, w := range word.FindAllString(line, -1) {
		switch {
		case strings.HasPrefix(w, "#"):
			end()
			return out
		case slices.Contains([]string{"|", "||", "&&", ";", "&"}, w):
			end()
		case strings.ContainsAny(w[:1], "<>"), strings.HasPrefix(w, "2>"):
			end() // the file that follows is no command of ours
		default:
			command = append(command, strings.NewReplacer(`"`, "", `'`, "").Replace(w))
		}
	}
	end()
	return out
}

// parse finds the command and reads its flags and arguments, and runs nothing.
func parse(args []string) (*cobra.Command, error) {
	cmd, rest, err := tree().Find(flags.Expand(args))
	if err != nil {
		return nil, err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return nil, err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return nil, err
	}
	return cmd, cmd.ValidateRequiredFlags()
}

func TestPlumbArgsOfAShellLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want [][]string
	}{
		{"plumb version", [][]string{{"version"}}},
		{"$ bin/plumb run --metrics-addr \"\" # no metrics", [][]string{{"run", "--metrics-addr", ""}}},
		{"KUBECONFIG=dev/kubeconfig ./plumb version", [][]string{{"version"}}},
		{"kustomize build . | plumb reconcile --once -f - > out 2>&1", [][]string{{"reconcile", "--once", "-f", "-"}}},
		{"plumb version && plumb run --context='a b'", [][]string{{"version"}, {"run", "--context=a b"}}},
		{"kubectl get pods", nil},
		{"# plumb bogus", nil},
		{"plumbing version", nil},
		{"", nil},
	}
	for _, test := range tests {
		if got := plumbArgs(test.line); !slices.EqualFunc(got, test.want, slices.Equal) {
			t.Errorf("%q: arguments are %q, want %q", test.line, got, test.want)
		}
	}
}

func TestExamplesOfAPage(t *testing.T) {
	t.Parallel()
	page := "Use `plumb version`, not `plumb <command>` or `plumb.yaml`.\n```sh\nplumb run \\\n  --concurrent 2\n```\n```text\nplumb v1 (output)\n```\n`plumb run`\n"
	want := []example{{"p:1", "plumb version"}, {"p:3", "plumb run   --concurrent 2"}, {"p:9", "plumb run"}}
	if got := examplesOf("p", page); !slices.Equal(got, want) {
		t.Errorf("examples are %v, want %v", got, want)
	}
}

func TestParseRefusesWhatTheCommandLineDoes(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"bogus", "run --bogus", "run now", "version --once", "reconcile --timeout soon"} {
		if _, err := parse(strings.Fields(line)); err == nil {
			t.Errorf("plumb %s: parsed, want an error", line)
		}
	}
	for _, line := range []string{"--help", "help run", "run --help", "completion bash", "--kubeconfig f version"} {
		if _, err := parse(strings.Fields(line)); err != nil {
			t.Errorf("plumb %s: %v", line, err)
		}
	}
}
