// Demo shows the main job on a running cluster: a repository is reconciled once,
// then a commit arrives, drift is put back, an object is pruned.
//
//	demo show DIR   the whole show; DIR is a folder for its files
//	demo serve ROOT serves the Git repositories below ROOT, and the Helm repository ROOT/charts, until it is killed
//	demo stop DIR   stops what show left running
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/plumb-gitops/plumb/internal/testgit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: demo show|stop DIR, demo serve ROOT")
	}
	dir, err := filepath.Abs(args[1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "serve":
		return serve(ctx, dir)
	case "stop":
		return stopAll(dir)
	case "show":
		d := &demo{dir: dir}
		if err := d.show(ctx); err != nil {
			return errors.Join(err, stopAll(dir))
		}
		return nil
	default:
		return fmt.Errorf("no command %s", args[0])
	}
}

// demo is one show. Its folder holds the repository, pids and logs.
type demo struct {
	dir     string
	url     string
	cluster *cluster
}

// show runs the scenes.
func (d *demo) show(ctx context.Context) error {
	begun := time.Now()
	for _, scene := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"A Git server with a repository: infrastructure, and apps/staging over apps/base; beside it a Helm repository", d.serveRepository},
		{"plumb reconcile --once: from an empty cluster to what the repository says", d.once},
		{"plumb run: and now keep it there", d.keep},
		{"A commit arrives: the banner's text changes", d.commit},
		{"A Helm release: a value of it changes in Git", d.upgrade},
		{"Drift: somebody scales the Deployment to 9, Git says 2", d.drift},
		{"Pruning: the banner is removed from the repository", d.prune},
	} {
		fmt.Printf("\n== %s\n", scene.title)
		if err := scene.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	fmt.Printf("\nThe demo took %.1f s. The cluster, the Git server and Plumb keep running:\n", time.Since(begun).Seconds())
	fmt.Printf("  look:   export KUBECONFIG=%s\n", os.Getenv("KUBECONFIG"))
	fmt.Printf("          kubectl get gitrepositories,kustomizations,helmreleases -A    (or any other client)\n")
	fmt.Printf("  change: edit %s, commit and push\n", d.work())
	fmt.Printf("  log:    %s\n", d.path("plumb.log"))
	fmt.Printf("  stop:   make demo-down\n")
	return nil
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }
func (d *demo) work() string            { return d.path("work") }

// serveRepository makes the repository and starts a real Git server for it.
func (d *demo) serveRepository(ctx context.Context) error {
	if err := errors.Join(os.RemoveAll(d.dir), os.MkdirAll(d.path("git"), 0o755)); err != nil {
		return err
	}
	if err := os.CopyFS(d.work(), os.DirFS("testdata/demo")); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", d.path("git/demo.git")},
		{"init", "-q", "-b", "main", d.work()},
		{"-C", d.work(), "remote", "add", "origin", d.path("git/demo.git")},
	} {
		if err := git(ctx, args...); err != nil {
			return err
		}
	}
	if err := d.push(ctx, "staging as it is"); err != nil {
		return err
	}
	if err := publish("testdata/charts", d.path("git/charts")); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := d.background("git-server", self, "serve", d.path("git")); err != nil {
		return err
	}
	address, err := appears(ctx, d.path("git/address"))
	d.url = "http://" + address
	fmt.Printf("   %s/demo.git\n   %s/charts\n", d.url, d.url)
	return err
}

// publish packs the charts in a folder, and makes a Helm repository of them in another.
func publish(charts, repository string) error {
	if err := os.MkdirAll(repository, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"needy", "web"} {
		ch, err := loader.LoadDir(filepath.Join(charts, name))
		if err != nil {
			return err
		}
		if _, err := chartutil.Save(ch, repository); err != nil {
			return err
		}
	}
	index, err := repo.IndexDirectory(repository, "")
	if err != nil {
		return err
	}
	return index.WriteFile(filepath.Join(repository, "index.yaml"), 0o644)
}

// push commits what is in the working tree.
func (d *demo) push(ctx context.Context, message string) error {
	return errors.Join(
		git(ctx, "-C", d.work(), "add", "-A"),
		git(ctx, "-C", d.work(), "commit", "-q", "-m", message),
		git(ctx, "-C", d.work(), "push", "-q", "-u", "origin", "main"))
}

func git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=demo", "GIT_AUTHOR_EMAIL=demo@example.com", "GIT_COMMITTER_NAME=demo", "GIT_COMMITTER_EMAIL=demo@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// once runs the one-shot reconciliation.
func (d *demo) once(ctx context.Context) error {
	raw, err := os.ReadFile("testdata/demo-cluster.yaml")
	if err != nil {
		return err
	}
	file := d.path("cluster.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(raw), "${GIT_URL}", d.url)), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "bin/plumb", "reconcile", "--once", "-f", file, "--storage-path", d.path("storage"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	d.cluster, err = connect()
	return err
}

// keep starts the engine.
func (d *demo) keep(ctx context.Context) error {
	err := d.background("plumb", "bin/plumb", "run", "--storage-path", d.path("storage"), "--metrics-addr", "127.0.0.1:0", "--health-addr", "127.0.0.1:0", "--log-format", "text")
	if err != nil {
		return err
	}
	return d.cluster.lease(ctx)
}

// background starts a program that outlives this one, and notes its number.
func (d *demo) background(name, program string, args ...string) error {
	log, err := os.Create(d.path(name + ".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the program has its own handle
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return os.WriteFile(d.path(name+".pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// stopAll ends what background started.
func stopAll(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pid"))
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if pid, err := strconv.Atoi(string(raw)); err == nil && ours(pid) {
			_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended already
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// ours tells whether a process is one of the demo's, by its command line.
func ours(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && (strings.Contains(string(raw), "plumb") || strings.Contains(string(raw), "demo"))
}

// serve answers on a free port, which it writes to ROOT/address, until ctx ends.
func serve(ctx context.Context, root string) error {
	git, err := testgit.Handler(root)
	if err != nil {
		return err
	}
	handler := http.NewServeMux()
	handler.Handle("/", git)
	handler.Handle("/charts/", http.FileServer(http.Dir(root)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	temporary := filepath.Join(root, "address.new")
	if err := os.WriteFile(temporary, []byte(listener.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(root, "address")); err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // nobody is to be answered any more
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// appears waits for a file that another process is about to write.
func appears(ctx context.Context, file string) (string, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if raw, err := os.ReadFile(file); err == nil {
			return string(raw), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
	}
}
