package testcluster_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// run runs bin/devcluster and returns its exit code and all that it said.
func run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), scenario.Binary("devcluster"), args...)
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func expect(t *testing.T, wantCode int, want string, args ...string) {
	t.Helper()
	code, said := run(t, args...)
	if code != wantCode || !strings.Contains(said, want) {
		t.Errorf("devcluster %s: exit code %d, want %d, and %q in:\n%s", strings.Join(args, " "), code, wantCode, want, said)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, file, want string) {
	t.Helper()
	if have, err := os.ReadFile(file); err != nil || string(have) != want {
		t.Errorf("%s holds %q, %v; want %q", file, have, err, want)
	}
}

func isGone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

// TestFolderOfSomethingElse: the folder of a cluster gets removed, so no other
// folder may be taken for one, not even one with a folder named etcd.
func TestFolderOfSomethingElse(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"up": {"up"}, "down": {"down"}, "down that keeps data": {"down", "--keep-data"}, "status": {"status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "letter"), "dear reader")
			write(t, filepath.Join(dir, "etcd", "member"), "data")
			expect(t, 1, dir+": holds files and no cluster", append(args, "--dir", dir)...)
			holds(t, filepath.Join(dir, "letter"), "dear reader")
			holds(t, filepath.Join(dir, "etcd", "member"), "data")
		})
	}
}

// TestBrokenList: who cannot tell what runs must not remove the folder of it.
func TestBrokenList(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"up", "down", "status"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "pids"), "[{")
			expect(t, 1, "stop what runs there by hand", command, "--dir", dir)
			holds(t, filepath.Join(dir, "pids"), "[{")
		})
	}
}

// TestRecycledPID: a process that has the number of a component that is gone
// counts as stopped, and lives on.
func TestRecycledPID(t *testing.T) {
	t.Parallel()
	bystander := exec.CommandContext(t.Context(), "sleep", "600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bystander.Wait() }) // t.Context ends it
	dir := filepath.Join(t.TempDir(), "cluster")
	write(t, filepath.Join(dir, "pids"), fmt.Sprintf(`[{"name":"etcd","pid":%d,"started":"1"}]`, bystander.Process.Pid))
	write(t, filepath.Join(dir, "etcd", "member"), "data")

	expect(t, 1, "stopped", "status", "--dir", dir)
	expect(t, 0, "", "down", "--dir", dir, "--keep-data")
	holds(t, filepath.Join(dir, "etcd", "member"), "data")
	expect(t, 0, "", "down", "--dir", dir)
	isGone(t, dir)
	expect(t, 0, "", "down", "--dir", dir) // nothing to stop is no failure
	if state := state(t, bystander.Process.Pid); state != "S" {
		t.Errorf("the bystander's state is %s, want S (sleeping)", state)
	}
}

// state is the state of a process (proc(5), stat, field 3); Z is one that ended.
func state(t *testing.T, pid int) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	return rest[:1]
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no folder":          {[]string{"up"}, "give --dir"},
		"no folder to stop":  {[]string{"down"}, "give --dir"},
		"no folder to judge": {[]string{"status"}, "give --dir"},
		"unknown flag":       {[]string{"up", "--nope"}, "unknown flag: --nope"},
		"unknown command":    {[]string{"upp"}, `unknown command "upp"`},
		"an argument":        {[]string{"down", "/tmp/dev"}, `unknown command "/tmp/dev"`},
		"a bad duration":     {[]string{"up", "--dir", "d", "--timeout", "soon"}, "invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, 2, tc.want, tc.args...)
		})
	}
}

// TestTooSlow: a start that runs out of time says what it waited for, shows that
// component's log though it still runs, and leaves nothing behind.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "slow")
	code, said := run(t, "up", "--dir", dir, "--timeout", "1ms")
	for _, want := range []string{"etcd: not ready within 1ms", "its last lines:"} {
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("exit code %d, want 1, and %q in:\n%s", code, want, said)
		}
	}
	isGone(t, dir)
}

// TestInterrupted: Ctrl-C during a start stops what has been started.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "interrupted")
	cmd := exec.CommandContext(t.Context(), scenario.Binary("devcluster"), "up", "--dir", dir)
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if lines.Text() == "kube-apiserver" { // etcd runs by now
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "kube-apiserver: interrupted") {
		t.Errorf("exit code %d, want 130, and an interrupted kube-apiserver in:\n%s", code, said.String())
	}
	isGone(t, dir)
}
