package testgit

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestHashesAreTheSameInEachRun(t *testing.T) {
	t.Parallel()
	build := func() string {
		r := New(t)
		first := r.Commit(Archive("-- a/b.yaml --\nx: 1\n-- c --\nc\n")...)
		r.Commit(Executable("run", "x"), Link("link", "a"), Remove("c"))
		side := r.CommitTo("side", []Change{File("s", "s")})
		r.CommitTo("main", nil, side)
		r.TagWithMessage("v1", first, "one")
		return r.Run("for-each-ref") + "\n" + r.Run("ls-tree", "-r", "main")
	}
	if one, two := build(), build(); one != two || !strings.Contains(one, "120000") || strings.Contains(one, "\tc\n") {
		t.Errorf("got\n%s\nand\n%s", one, two)
	}
}

func TestServersServeGitItself(t *testing.T) {
	t.Parallel()
	r := New(t)
	r.Commit(File("name", "x"))
	open, meter := r.HTTP(Options{})
	closed, _ := r.HTTP(Options{Username: "user", Password: "pw"})
	secured, identity, known := r.SSH()
	dir := t.TempDir()
	key, hosts := filepath.Join(dir, "key"), filepath.Join(dir, "hosts")
	for name, content := range map[string][]byte{key: identity, hosts: known} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ssh := "core.sshCommand=ssh -F none -i " + key + " -o UserKnownHostsFile=" + hosts
	for name, args := range map[string][]string{
		"http": {"clone", "--quiet", open},
		"auth": {"clone", "--quiet", strings.Replace(closed, "://", "://user:pw@", 1)},
		"ssh":  {"-c", ssh, "clone", "--quiet", secured},
	} {
		r.Run(append(args, filepath.Join(dir, name))...)
		if content, err := os.ReadFile(filepath.Join(dir, name, "name")); err != nil || string(content) != "x" {
			t.Errorf("%s: %q, %v", name, content, err)
		}
	}
	if got := meter.Take(); got.Downloads == 0 || got.Requests <= got.Downloads || got.Bytes == 0 {
		t.Errorf("counted %+v", got)
	}
	for name, args := range map[string][]string{
		"http without a password": {"-c", "core.askPass=false", "ls-remote", closed},
		"push by http":            {"push", open, "main:other"},
		"push by ssh":             {"-c", ssh, "push", secured, "main:other"},
	} {
		if out, err := r.Git(nil, args...); err == nil {
			t.Errorf("%s is let in: %s", name, out)
		}
	}
}

func TestSSHRunsNothingElse(t *testing.T) {
	t.Parallel()
	server, err := StartSSH(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	signer, err := ssh.ParsePrivateKey(server.Identity)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", server.Address, &ssh.ClientConfig{
		User: server.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for _, command := range []string{"id", "git-receive-pack '/x'", "git-upload-pack '/x'; id", "sh"} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := session.Output(command); err == nil || strings.Contains(string(out), "uid=") {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
}
