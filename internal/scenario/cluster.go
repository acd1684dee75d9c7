// Package scenario runs Plumb against the real thing in tests: a real API server
// with real controllers, a real Git server, the real binary. It is imported by
// tests only.
package scenario

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// Cluster is the cluster that all tests of a run share.
type Cluster struct {
	*kube.Cluster
	Kubeconfig string
	AuditLog   string
}

var (
	once    sync.Once
	shared  *Cluster
	openErr error
	started string // the folder of a cluster that this process started
)

// Main runs the tests of a package and stops the cluster that they may have
// started.
func Main(m *testing.M) {
	code := m.Run()
	if started != "" {
		if out, err := exec.Command(Binary("devcluster"), "down", "--dir", started).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "devcluster down: %v\n%s", err, out)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Open gives the shared cluster: the one of KUBECONFIG_TEST, else a development
// cluster that is started now.
func Open(tb testing.TB) *Cluster {
	tb.Helper()
	once.Do(func() { shared, openErr = open() })
	if openErr != nil {
		tb.Fatal(openErr)
	}
	return shared
}

func open() (*Cluster, error) {
	file := os.Getenv("KUBECONFIG_TEST")
	if file == "" {
		dir, err := os.MkdirTemp("", "plumb-test-")
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(Binary("devcluster"), "up", "--dir", dir)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, err
		}
		started, file = dir, filepath.Join(dir, "kubeconfig")
	}
	config, err := kube.LoadConfig(file, "", "test")
	if err != nil {
		return nil, err
	}
	connection, err := kube.Connect(config)
	if err != nil {
		return nil, err
	}
	return &Cluster{Cluster: connection, Kubeconfig: file, AuditLog: filepath.Join(filepath.Dir(file), "audit.log")}, nil
}

// Root is the root of the module.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "main.go")); err == nil {
			if _, err := os.Stat(filepath.Join(dir, "engine")); err == nil {
				return dir
			}
		}
	}
	panic("not inside of the module")
}

// Binary is the path of a built program; `make test` builds them.
func Binary(name string) string { return filepath.Join(Root(), "bin", name) }

// Plumb is the binary under test: PLUMB_TEST_BINARY, else the test build with its
// crash points.
func Plumb() string {
	if file := os.Getenv("PLUMB_TEST_BINARY"); file != "" {
		return file
	}
	return Binary("plumb-test")
}

// As writes a kubeconfig that acts as an administrator of another name, so that
// the audit log tells whose requests are whose.
func (c *Cluster) As(tb testing.TB, user, file string) {
	tb.Helper()
	c.AsIn(tb, user, "", file)
}

// AsIn is As, with a namespace for the context.
func (c *Cluster) AsIn(tb testing.TB, user, namespace, file string) {
	tb.Helper()
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		tb.Fatal(err)
	}
	for _, info := range config.AuthInfos {
		info.Impersonate, info.ImpersonateGroups = user, []string{"system:masters"}
	}
	for _, context := range config.Contexts {
		context.Namespace = namespace
	}
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		tb.Fatal(err)
	}
}

// Event is one request in the audit log.
type Event struct {
	Stage           string    `json:"stage"`
	RequestURI      string    `json:"requestURI"`
	Verb            string    `json:"verb"`
	User            User      `json:"user"`
	ImpersonateUser User      `json:"impersonatedUser"`
	UserAgent       string    `json:"userAgent"`
	Time            time.Time `json:"requestReceivedTimestamp"`
	ObjectRef       struct {
		Resource, Namespace, Name, APIGroup, Subresource string
	} `json:"objectRef"`
	ResponseStatus struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"responseStatus"`
}

// User is who made a request.
type User struct {
	Username string `json:"username"`
}

// String is what a failed test shows.
func (e Event) String() string { return e.Verb + " " + e.RequestURI }

// Mark is a moment, with the place in the audit log up to which it had come by then.
type Mark struct {
	offset int64
	at     time.Time
}

// Mark is now. A request is logged when it was answered, and what it did may be seen
// before that: so the place alone does not tell what came later.
func (c *Cluster) Mark(tb testing.TB) Mark {
	tb.Helper()
	info, err := os.Stat(c.AuditLog)
	if err != nil {
		tb.Fatal(err)
	}
	return Mark{info.Size(), time.Now().Truncate(time.Microsecond)} // as exact as the log is
}

// Requests are the requests of a user since a mark, watches and the lease left
// out. So are those that are about no object: what the server serves is looked at
// anew whenever any of the tests on the cluster has brought a definition.
func (c *Cluster) Requests(tb testing.TB, since Mark, user string) []Event {
	tb.Helper()
	var out []Event
	for _, e := range c.Audit(tb, since, user) {
		if e.ImpersonateUser.Username == user && e.Stage == "ResponseComplete" && e.Verb != "watch" && e.ObjectRef.Resource != "leases" && e.ObjectRef.Resource != "" {
			out = append(out, e)
		}
	}
	return out
}

// Audit is what the audit log says of requests that came since a mark, and in which a
// user has a part.
func (c *Cluster) Audit(tb testing.TB, since Mark, user string) []Event {
	tb.Helper()
	file, err := os.Open(c.AuditLog)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(since.offset, io.SeekStart); err != nil {
		tb.Fatal(err)
	}
	var out []Event
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return out
		}
		if !bytes.Contains(line, []byte(user)) {
			continue
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			tb.Fatal(err)
		}
		if !e.Time.Before(since.at) {
			out = append(out, e)
		}
	}
}

// Await waits until the audit log has a request of a user's since a mark that is as
// asked for. A file has nobody who tells of its changes, so it is read again.
func (c *Cluster) Await(tb testing.TB, since Mark, user, what string, found func(Event) bool) {
	tb.Helper()
	err := wait.PollUntilContextTimeout(tb.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		return slices.ContainsFunc(c.Audit(tb, since, user), found), nil
	})
	if err != nil {
		tb.Fatalf("the audit log has no %s", what)
	}
}
