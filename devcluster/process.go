package main

import (
	"encoding/json"
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
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil {
		return ignoreGone(err)
	}
	if p.gone(grace) {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
		return ignoreGone(err)
	}
	if !p.gone(grace) {
		return fmt.Errorf("%s (pid %d) does not end", p.Name, p.PID)
	}
	return nil
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

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

func pidsFile(dir string) string { return filepath.Join(dir, "pids") }

func readProcesses(dir string) []process {
	raw, err := os.ReadFile(pidsFile(dir))
	if err != nil {
		return nil
	}
	var out []process
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil
	}
	return out
}

// writeProcesses stores what runs, after each start, so that a killed up leaves
// nothing that down does not know of.
func writeProcesses(dir string, all []process) error {
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	temporary := pidsFile(dir) + ".new"
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, pidsFile(dir))
}

// down stops what runs in dir, the last started first, and removes the folder.
func down(dir string, keepData bool) error {
	all := readProcesses(dir)
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		errs = append(errs, all[i].stop(10*time.Second))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if !keepData {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != "etcd" && name != "pki" { // the keys that signed what etcd holds
			errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}
