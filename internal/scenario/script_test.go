package scenario_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/internal/testregistry"
)

func TestMain(m *testing.M) { scenario.Main(m) }

// TestScripts runs testdata/scenario/*.txtar. The commands of a script are below;
// $NS is its namespace, and further ones begin with it.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(scenario.Root(), "testdata", "scenario"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			s := &script{World: scenario.New(env.T().(testing.TB)), repos: map[string]*scenario.Repo{}, buckets: map[string]placed{}, registries: map[string]*testregistry.Registry{}, helm: map[string]*helm{}, sshServers: map[string]*testgit.SSHServer{}}
			s.vars = []string{"$NS", s.NS, "$GIT_URL", s.Git.URL}
			env.Values[key] = s
			env.Setenv("NS", s.NS)
			env.Setenv("GIT_URL", s.Git.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"repo":      command(2, (*script).repo),
			"commit":    command(2, (*script).commit),
			"git":       command(2, (*script).git),
			"apply":     command(1, (*script).apply),
			"start":     command(0, (*script).start),
			"halt":      command(0, (*script).halt),
			"once":      command(1, (*script).once),
			"timesout":  command(2, (*script).timesOut),
			"plumb":     command(2, (*script).plumb),
			"drift":     command(1, (*script).drift),
			"ready":     command(1, (*script).ready),
			"not":       command(2, (*script).not),
			"has":       command(3, (*script).has),
			"keypair":   command(1, (*script).keypair),
			"condition": command(3, (*script).condition),
			"lacks":     command(2, (*script).lacks),
			"gone":      command(1, (*script).gone),
			"there":     command(1, (*script).there),
			"event":     command(3, (*script).event),
			"patch":     command(3, (*script).patch),
			"delete":    command(1, (*script).delete),
			"mark":      command(0, (*script).markNow),
			"steady":    command(0, (*script).steady),
			"running":   command(0, (*script).running),
			"leading":   command(0, (*script).leading),
			"quiet":     command(1, (*script).quiet),
			"allowed":   command(3, (*script).allowed),
			"tells":     command(2, (*script).tells),
			"handled":   command(2, (*script).handled),
			"gitdown":   command(1, (*script).gitDown),
			"bucket":    command(3, (*script).bucket),
			"upload":    command(2, (*script).upload),
			"stall":     command(2, (*script).stall),
			"library":   command(2, (*script).library),
			"namespace": command(1, (*script).namespace),
			"copychart": command(2, (*script).copyChart),
			"crash":     command(0, (*script).crash),
			"helm":      command(2, (*script).helmCommand),
			"registry":  command(1, (*script).registry),
			"push":      command(3, (*script).push),
			"charts":    command(2, (*script).charts),
			"archive":   command(2, (*script).archive),
			"ssh":       command(2, (*script).ssh),
			"letin":     command(2, (*script).letIn),
			"https":     command(2, (*script).https),
			"download":  command(1, (*script).download),
			"table":     command(2, (*script).table),
			"show":      command(1, (*script).show),
		},
	})
}

type contextKey struct{}

var key contextKey

// script is one running script.
type script struct {
	*scenario.World
	ts         *testscript.TestScript
	repos      map[string]*scenario.Repo
	buckets    map[string]placed
	registries map[string]*testregistry.Registry
	helm       map[string]*helm
	sshServers map[string]*testgit.SSHServer
	vars       []string // what is replaced in manifests: name, value, ...
	mark       scenario.Mark
}

// command is a command of scripts with at least so many arguments. It cannot be
// negated: each waits for something to be true.
func command(least int, run func(*script, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("want at least %d arguments, and no !", least)
		}
		s := ts.Value(key).(*script)
		s.ts = ts
		run(s, args)
	}
}

// ref reads Kind/name (in $NS) or Kind/namespace/name; - is no namespace.
func (s *script) ref(text string) kube.Key {
	parts := strings.Split(text, "/")
	switch len(parts) {
	case 2:
		return scenario.Key(parts[0], s.NS, parts[1])
	case 3:
		return scenario.Key(parts[0], strings.TrimPrefix(parts[1], "-"), parts[2])
	default:
		s.ts.Fatalf("%s: want Kind/name or Kind/namespace/name", text)
		return kube.Key{}
	}
}

// repo NAME DIR: a repository with the content of a folder.
func (s *script) repo(args []string) {
	s.repos[args[0]] = s.Git.Repo(s.TB(), args[0], map[string]string{"README.md": "a repository\n"})
	s.commit(args)
}

// commit NAME DIR [VAR]: makes the repository hold the content of a folder; $REV is
// the new revision, $COMMIT its hash, and so is $VAR. Variables in the files are
// replaced.
func (s *script) commit(args []string) {
	dir := s.ts.MkAbs(args[1])
	s.expand(dir)
	revision := s.repos[args[0]].Copy(dir)
	_, hash, _ := strings.Cut(revision, "sha1:")
	s.ts.Setenv("REV", revision)
	s.ts.Setenv("COMMIT", hash)
	if len(args) > 2 {
		s.set(args[2], hash)
	}
}

// expand replaces the variables in all files below a folder.
func (s *script) expand(dir string) {
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(s.filled(string(raw))), 0o600)
	})
	s.ts.Check(err)
}

// git NAME ARGS...: runs git in the repository's working tree.
func (s *script) git(args []string) { s.repos[args[0]].Git(args[1:]...) }

// apply FILE...: applies manifests as a user, with $NS and $GIT_URL replaced.
// With "refused REGEXP FILE" the server has to refuse them.
func (s *script) apply(args []string) {
	refusal := ""
	if args[0] == "refused" {
		refusal, args = args[1], args[2:]
	}
	for _, file := range args {
		text := s.ts.ReadFile(file)
		err := s.TryApply(s.filled(text))
		switch {
		case refusal == "":
			s.ts.Check(err)
		case err == nil:
			s.ts.Fatalf("%s was accepted", file)
		case !regexp.MustCompile(refusal).MatchString(err.Error()):
			s.ts.Fatalf("%s was refused with %q, want %s", file, err, refusal)
		}
	}
}

// namespace SUFFIX: makes the namespace $NS-SUFFIX, which goes with the test.
func (s *script) namespace(args []string) { s.Namespace(args[0]) }

// start ARGS...: starts an engine for $NS.
func (s *script) start(args []string) { s.Start(args...) }

// halt: stops the engine, which has to end well.
func (s *script) halt([]string) {
	if code := s.Stop(); code != 0 {
		s.ts.Fatalf("the engine ended with exit code %d", code)
	}
}

// timesout REGEXP ARGS...: once, of which the time runs out while something never comes
// to an end: with more time until its output tells of that; compare with stdout, stderr.
func (s *script) timesOut(args []string) {
	wanted := regexp.MustCompile("(?m)" + args[0])
	for limit := 5 * time.Second; limit < scenario.Patience(); limit *= 2 {
		s.once(append([]string{"3", "--timeout", limit.String()}, args[1:]...))
		if wanted.MatchString(s.ts.Getenv("OUT")) {
			return
		}
	}
	s.ts.Fatalf("it never said %s", args[0])
}

// once CODE ARGS...: runs `plumb reconcile --once`; compare with stdout, stderr.
func (s *script) once(args []string) {
	want, err := strconv.Atoi(args[0])
	s.ts.Check(err)
	for i, arg := range args {
		if arg == "-f" && !strings.Contains(args[i+1], "missing") {
			args[i+1] = s.ts.MkAbs(args[i+1])
			text := s.ts.ReadFile(args[i+1])
			s.ts.Check(os.WriteFile(args[i+1], []byte(s.filled(text)), 0o600))
		}
	}
	out, errOut, code := s.Once(args[1:]...)
	fmt.Fprint(s.ts.Stdout(), out)
	fmt.Fprint(s.ts.Stderr(), errOut)
	s.ts.Setenv("OUT", out)
	if code != want {
		s.ts.Fatalf("exit code %d, want %d\n%s\n%s", code, want, out, errOut)
	}
}

// plumb CODE ARGS...: runs a command in $NS; compare with stdout, stderr.
func (s *script) plumb(args []string) {
	want, err := strconv.Atoi(args[0])
	s.ts.Check(err)
	out, errOut, code := s.Plumb(s.ts.MkAbs("."), args[1:]...)
	fmt.Fprint(s.ts.Stdout(), out)
	fmt.Fprint(s.ts.Stderr(), errOut)
	if code != want {
		s.ts.Fatalf("exit code %d, want %d\n%s\n%s", code, want, out, errOut)
	}
}

// drift NAME: `plumb drift` about a Kustomization, asked of the running engine.
func (s *script) drift(args []string) {
	s.plumb([]string{"0", "drift", args[0], "-n", s.NS, "--from", s.Serving("metrics")})
}

// ready REF [TEXT]: waits until it is Ready, with a text in the message.
func (s *script) ready(args []string) { s.Ready(s.ref(args[0]), args[1:]...) }

// not REF REASON TEXT...: waits until it is not Ready for a reason, with texts in
// the message.
func (s *script) not(args []string) { s.NotReady(s.ref(args[0]), args[1], args[2:]...) }

// has REF PATH VALUE: waits until a field, given as a.b.c, has a value. In lists see
// scenario.Field.
func (s *script) has(args []string) {
	s.Has(s.ref(args[0]), args[2], strings.Split(args[1], ".")...)
}

// lacks REF PATH: fails if it has a field, given as a.b.c, now.
func (s *script) lacks(args []string) {
	obj := s.Get(s.ref(args[0]))
	if obj == nil {
		s.ts.Fatalf("%s is not there", args[0])
	}
	if value, found := scenario.Field(obj.Object, strings.Split(args[1], ".")...); found {
		s.ts.Fatalf("%s has %s: %v", args[0], args[1], value)
	}
}

// gone REF...: waits until they are gone.
func (s *script) gone(args []string) {
	for _, arg := range args {
		s.Gone(s.ref(arg))
	}
}

// there REF...: fails if one of them is not there now.
func (s *script) there(args []string) {
	for _, arg := range args {
		if s.Get(s.ref(arg)) == nil {
			s.ts.Fatalf("%s is not there", arg)
		}
	}
}

// event REF REASON TEXT: waits for an event about it.
func (s *script) event(args []string) { s.EventWith(s.ref(args[0]), args[1], args[2]) }

// patch REF MANAGER JSON [SUBRESOURCE]: a merge patch by somebody.
func (s *script) patch(args []string) { s.Patch(s.ref(args[0]), args[1], args[2], args[3:]...) }

// delete REF...: deletes objects and does not wait.
func (s *script) delete(args []string) {
	for _, arg := range args {
		s.Delete(s.ref(arg))
	}
}

// mark: requests are counted from here.
func (s *script) markNow([]string) { s.mark = s.Mark(s.TB()) }

// quiet REGEXP: the engine has made no request since the mark but those that
// match.
func (s *script) quiet(args []string) {
	allowed := regexp.MustCompile(args[0])
	for _, e := range s.Since(s.mark) {
		if !allowed.MatchString(e.String()) {
			s.ts.Fatalf("unexpected request: %s", e)
		}
	}
}

// handled REF TOKEN: asks for a reconciliation and waits until it was handled.
func (s *script) handled(args []string) {
	ref := s.ref(args[0])
	s.Patch(ref, "test", fmt.Sprintf(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q}}}`, args[1]))
	s.Until(ref, "the request is handled", func(obj *unstructured.Unstructured) bool {
		if obj == nil {
			return false
		}
		at, _, _ := unstructured.NestedString(obj.Object, "status", "lastHandledReconcileAt")
		return at == args[1]
	})
}

// gitdown true|false: makes the Git server answer 503, or work again.
func (s *script) gitDown(args []string) { s.Git.SetDown(args[0] == "true") }
