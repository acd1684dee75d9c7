package git

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/plumb-gitops/plumb/source"
)

// FuzzKnownHosts: whatever a Secret holds, it is either refused or does not
// make us trust a key that is not in it, and its temporary file is gone.
func FuzzKnownHosts(f *testing.F) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	stranger, err := ssh.NewPublicKey(public)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n"))
	f.Add([]byte("git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"))
	f.Add([]byte("@cert-authority *.example.com ssh-rsa AAAA\n|1|x|y= ssh-rsa AAAA\n# a comment\n"))
	dir := f.TempDir()
	s, err := New(dir, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, known []byte) {
		config, err := s.sshConfig("ssh://git.example.com/r", "git.example.com:22", known)
		if left, _ := filepath.Glob(filepath.Join(dir, knownHostsFile+"*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if err != nil {
			if !errors.As(err, new(*source.AuthError)) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if config.HostKeyCallback("git.example.com:22", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}, stranger) == nil {
			t.Error("a key that is not in known_hosts is trusted")
		}
	})
}
