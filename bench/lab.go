package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/testgit"
)

// lab is what one case in one size has for itself.
type lab struct {
	*bench
	name       string
	n          int
	variant    string // what sets a row apart from others of the same case and size
	dir        string // of the cluster
	work       string // of all else
	kubeconfig string
	cluster    *kube.Cluster
	pids       map[string]int // the parts of the cluster
	server     *httptest.Server
	meter      *testgit.Meter
	engine     *engine
}

// open starts a fresh cluster, with Plumb's kinds, and a Git server.
func (b *bench) open(ctx context.Context, name string, n int) (*lab, error) {
	l := &lab{bench: b, name: name, n: n, dir: filepath.Join(b.root, ".dev", "bench"), pids: map[string]int{}}
	var err error
	if l.dir, err = filepath.Abs(l.dir); err != nil {
		return nil, err
	}
	if l.work, err = os.MkdirTemp("", "plumb-bench-"); err != nil {
		return nil, err
	}
	l.kubeconfig = filepath.Join(l.dir, "kubeconfig")
	for _, command := range [][]string{
		{"devcluster", "down", "--dir", l.dir},
		{"devcluster", "up", "--dir", l.dir},
		{"plumb", "install", "--crds-only", "--kubeconfig", l.kubeconfig},
	} {
		if out, err := exec.CommandContext(ctx, l.binary(command[0]), command[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	if err := errors.Join(l.connect(), l.serveGit()); err != nil {
		return nil, err
	}
	return l, errors.Join(l.namespace(ctx, units), l.namespace(ctx, bareNS))
}

func (l *lab) binary(name string) string { return filepath.Join(l.root, "bin", name) }

// connect reaches the cluster, and learns which processes it is made of.
func (l *lab) connect() error {
	config, err := kube.LoadConfig(l.kubeconfig, "", "bench")
	if err != nil {
		return err
	}
	config.UserAgent = "bench"
	if l.cluster, err = kube.Connect(config); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(l.dir, "pids"))
	if err != nil {
		return err
	}
	var all []struct {
		Name string
		PID  int
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	for _, p := range all {
		l.pids[p.Name] = p.PID
	}
	return nil
}

// serveGit serves the repositories of the case by git's own http-backend.
func (l *lab) serveGit() error {
	handler, err := testgit.Handler(l.work)
	if err != nil {
		return err
	}
	l.meter = &testgit.Meter{}
	l.server = httptest.NewServer(l.meter.Wrap(handler))
	return nil
}

// serve serves something else, and counts what it gives.
func (l *lab) serve(handler http.Handler) *httptest.Server {
	return httptest.NewServer(l.meter.Wrap(handler))
}

// close ends the engine and the cluster. The engine's log stays when the case
// failed.
func (l *lab) close(failed bool) error {
	var errs []error
	if l.engine != nil {
		errs = append(errs, l.engine.stop())
	}
	if l.server != nil {
		l.server.Close()
	}
	if failed {
		fmt.Fprintf(os.Stderr, "bench: what the case left is in %s\n", l.work)
	} else {
		errs = append(errs, os.RemoveAll(l.work))
	}
	if out, err := exec.Command(l.binary("devcluster"), "down", "--dir", l.dir).CombinedOutput(); err != nil {
		errs = append(errs, fmt.Errorf("devcluster down: %w\n%s", err, out))
	}
	return errors.Join(errs...)
}

// repository makes a repository with some content, and returns it with its address.
func (l *lab) repository(name string, files map[string]string) (*testgit.Repository, string, error) {
	r, err := testgit.Create(filepath.Join(l.work, name))
	if err != nil {
		return nil, "", err
	}
	_, err = r.Commit("main", testgit.Files(files))
	return r, l.server.URL + "/" + name, err
}

// namespace makes a namespace.
func (l *lab) namespace(ctx context.Context, name string) error {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
	_, err := l.cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: "bench"})
	return err
}

// revision is the commit that is measured.
func (b *bench) revision(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "-C", b.root, "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
