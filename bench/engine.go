package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// engine is the product as a process: the released binary, nothing armed.
type engine struct {
	cmd     *exec.Cmd
	pid     int
	storage string

	mu      sync.Mutex
	serving map[string]string        // address, by what is served there
	heard   map[string]chan struct{} // closed when that is known
	ended   chan struct{}
	profile *profiling
}

// served are what the engine says on which address it serves.
var served = []string{"metrics", "profiles"}

// start starts the engine. Its storage is the same for all engines of a case.
func (l *lab) start() error {
	log, err := os.OpenFile(filepath.Join(l.work, "engine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	e := &engine{storage: filepath.Join(l.work, "storage"), serving: map[string]string{}, heard: map[string]chan struct{}{}, ended: make(chan struct{})}
	for _, what := range served {
		e.heard[what] = make(chan struct{})
	}
	e.cmd = exec.Command(l.binary("plumb"), append([]string{
		"run", "--kubeconfig", l.kubeconfig, "--storage-path", e.storage, "--leader-elect=false",
		"--metrics-addr", "127.0.0.1:0", "--health-addr", "", "--pprof-addr=127.0.0.1:0",
	}, l.args...)...)
	said, err := e.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := e.cmd.Start(); err != nil {
		return err
	}
	e.pid = e.cmd.Process.Pid
	l.engine = e
	go e.listen(said, log)
	if l.profiles {
		e.profile = l.keepProfiles(e)
	}
	return nil
}

// listen keeps the log and notes the addresses in it.
func (e *engine) listen(said io.Reader, log io.WriteCloser) {
	defer close(e.ended)
	defer log.Close()
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		_, _ = log.Write(line) // a full disk shows elsewhere
		if bytes.Contains(line, []byte("serving ")) {
			e.note(line)
		}
	}
}

func (e *engine) note(line []byte) {
	var entry struct{ Msg, Address string }
	if err := json.Unmarshal(line, &entry); err != nil {
		return
	}
	what := strings.TrimPrefix(entry.Msg, "serving ")
	e.mu.Lock()
	defer e.mu.Unlock()
	if heard, ok := e.heard[what]; ok && e.serving[what] == "" {
		e.serving[what] = entry.Address
		close(heard)
	}
}

// address is where the engine serves something.
func (e *engine) address(ctx context.Context, what string) (string, error) {
	select {
	case <-e.heard[what]:
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.serving[what], nil
	case <-e.ended:
		return "", errors.New("the engine has ended")
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// stop asks the engine to end, and waits for it.
func (e *engine) stop() error {
	if e.profile != nil {
		e.profile.stop()
	}
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	<-e.ended
	if err := e.cmd.Wait(); err != nil {
		return fmt.Errorf("plumb run: %w", err)
	}
	return nil
}

// kill ends the engine as a power cut would.
func (e *engine) kill() {
	if e.profile != nil {
		e.profile.stop()
	}
	_ = e.cmd.Process.Kill() // it may have ended already
	<-e.ended
	_ = e.cmd.Wait() // it was killed
}

// get asks the engine for a page.
func (e *engine) get(ctx context.Context, what, path string) ([]byte, error) {
	address, err := e.address(ctx, what)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}
