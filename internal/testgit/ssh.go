package testgit

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSHServer is a running sshd that serves repositories for reading, to one key.
type SSHServer struct {
	Address    string // host:port
	User       string
	Identity   []byte // the private key that it lets in, PEM
	KnownHosts []byte // its own key, as a line of known_hosts

	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

// sshPorts is how often a free port is looked for: somebody else may take it
// before sshd does.
const sshPorts = 5

// StartSSH starts sshd on a free port of loopback, as the user who calls. It keeps
// its files in dir. It may run nothing but git-upload-pack. options are further ones
// of sshd_config, as Name=value.
func StartSSH(ctx context.Context, dir string, options ...string) (*SSHServer, error) {
	sshd, err := findSSHD()
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	s := &SSHServer{User: me.Username, dir: dir}
	host, err := s.writeFiles(dir)
	if err != nil {
		return nil, err
	}
	for range sshPorts {
		if err = s.start(ctx, sshd, dir, options); err == nil {
			s.KnownHosts = []byte(knownhosts.Line([]string{knownhosts.Normalize(s.Address)}, host) + "\n")
			return s, nil
		}
	}
	return nil, err
}

func findSSHD() (string, error) {
	for _, name := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path) // sshd insists
		}
	}
	return "", errors.New("sshd is not installed: it is in the Debian package openssh-server")
}

// writeFiles makes the keys and the script that git's clients get to run. It
// returns the public key of the host.
func (s *SSHServer) writeFiles(dir string) (ssh.PublicKey, error) {
	hostKey, host, err := newKey()
	if err != nil {
		return nil, err
	}
	identity, client, err := newKey()
	if err != nil {
		return nil, err
	}
	s.Identity = identity
	serve := s.program()
	script := "#!/bin/sh\ncase \"$SSH_ORIGINAL_COMMAND\" in\ngit-upload-pack\\ *) exec git-shell -c \"$SSH_ORIGINAL_COMMAND\" ;;\nesac\n" +
		"echo 'only git-upload-pack is served' >&2\nexit 1\n"
	allowed := s.allowed(string(ssh.MarshalAuthorizedKey(client)))
	return host, errors.Join(
		os.WriteFile(filepath.Join(dir, "host_key"), hostKey, 0o600),
		os.WriteFile(filepath.Join(dir, "authorized_keys"), []byte(allowed), 0o600),
		os.WriteFile(serve, []byte(script), 0o700),
		ensureSeparation(),
	)
}

// program is what clients get to run.
func (s *SSHServer) program() string { return filepath.Join(s.dir, "serve") }

// allowed is the line for a key that is let in.
func (s *SSHServer) allowed(public string) string {
	return fmt.Sprintf("restrict,command=%q %s\n", s.program(), strings.TrimSpace(public))
}

// LetIn lets one more key in, given as a line of authorized_keys.
func (s *SSHServer) LetIn(public string) error {
	file, err := os.OpenFile(filepath.Join(s.dir, "authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(s.allowed(public))
	return errors.Join(err, file.Close())
}

// ensureSeparation makes the empty folder that sshd locks itself into, where it
// runs as root; else it has no use for one.
func ensureSeparation() error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.MkdirAll("/run/sshd", 0o755)
}

func newKey() (private []byte, public ssh.PublicKey, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, nil, err
	}
	public, err = ssh.NewPublicKey(key.Public())
	return pem.EncodeToMemory(block), public, err
}

// start runs sshd and returns when it listens.
func (s *SSHServer) start(ctx context.Context, sshd, dir string, options []string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, sshd, "-D", "-e", "-f", os.DevNull,
		"-o", "ListenAddress=127.0.0.1", "-p", strconv.Itoa(port),
		"-h", filepath.Join(dir, "host_key"),
		"-o", "AuthorizedKeysFile="+filepath.Join(dir, "authorized_keys"),
		"-o", "AuthenticationMethods=publickey", "-o", "PermitRootLogin=prohibit-password",
		"-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none",
		"-o", "MaxStartups=1000") // by default some of more than ten clients that log in at once are dropped by chance
	for _, o := range options {
		cmd.Args = append(cmd.Args, "-o", o)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.done, s.Address = cmd, make(chan struct{}), net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	listening := make(chan error, 1)
	go func() {
		defer close(s.done)
		listening <- untilListening(said)
		_, _ = io.Copy(io.Discard, said)
		_ = cmd.Wait() // it is stopped by a signal
	}()
	return <-listening
}

func untilListening(said io.Reader) error {
	var lines []string
	in := bufio.NewScanner(said)
	for in.Scan() {
		if strings.Contains(in.Text(), "Server listening on") {
			return nil
		}
		lines = append(lines, in.Text())
	}
	return fmt.Errorf("sshd does not start: %s", strings.Join(lines, "; "))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// URL is where the server has the repository in a folder.
func (s *SSHServer) URL(dir string) string { return "ssh://" + s.User + "@" + s.Address + dir }

// Stop ends the server and waits for it.
func (s *SSHServer) Stop() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.done
}
