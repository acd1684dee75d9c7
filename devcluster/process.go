package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is one started component. The start time tells it from a later
// process that happens to have the same number.
type process struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

// start runs this program as one of its components, in a session of its own, so
// that it lives on when the caller ends.
func start(dir, name string, ended func(), args ...string) (process, error) {
	self, err := os.Executable()
	if err != nil {
		return process{}, err
	}
	log, err := os.OpenFile(logFile(dir, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return process{}, err
	}
	defer func() { _ = log.Close() }() // the child has its own handle
	cmd := exec.Command(self, append([]string{name}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	cmd.Env = environment(dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return process{}, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		ended()
	}()
	return process{Name: name, PID: cmd.Process.Pid, Started: startTime(cmd.Process.Pid)}, nil
}

// environment keeps the caller's settings out: etcd would take any ETCD_ variable
// for a flag, and KWOK reads a configuration below the home folder.
func environment(home string) []string {
	return []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
}

func logFile(dir, name string) string { return filepath.Join(dir, "logs", name+".log") }

// startTime is when the kernel started a process, in ticks since boot (proc(5),
// stat, field 22), "" when there is none by that number or it is a zombie.
func startTime(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

func (p process) alive() bool { return p.Started != "" && startTime(p.PID) == p.Started }

// stop ends a process: it is asked first, and killed when it takes too long.
func (p process) stop(grace time.Duration) error {
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return err
	}
	defer func() { _ = handle.Release() }()
	// The handle is taken first: it holds on to one process, so what is looked
	// at here is what gets the signals, whatever becomes of the number.
	if !p.alive() {
		return nil
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop %s (pid %d): %w", p.Name, p.PID, err)
		}
		if p.gone(grace) {
			return nil
		}
	}
	return fmt.Errorf("%s (pid %d) does not end; see what holds it, then run down again", p.Name, p.PID)
}

// gone waits for the end of a process that may not be our child, for which the
// kernel has no event that every system offers; hence the short looks.
func (p process) gone(within time.Duration) bool {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !p.alive() {
			return true
		}
	}
	return !p.alive()
}
