package git

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/source"
)

func TestAuthFromSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data map[string]string
		want Auth
		err  string
	}{
		"basic":             {data: map[string]string{"username": "u", "password": "p"}, want: Auth{Username: "u", Password: "p"}},
		"token as password": {data: map[string]string{"password": "p"}, want: Auth{Password: "p"}},
		"ssh": {
			data: map[string]string{"identity": "k", "identity.pub": "pub", "known_hosts": "h"},
			want: Auth{Identity: []byte("k"), KnownHosts: []byte("h")},
		},
		"ssh with a passphrase": {
			data: map[string]string{"identity": "k", "known_hosts": "h", "password": "p"},
			want: Auth{Identity: []byte("k"), KnownHosts: []byte("h"), IdentityPassword: "p"},
		},
		"ssh without known_hosts": {
			data: map[string]string{"identity": "k"},
			err: "it has the key identity, but not known_hosts, without which the server cannot be told from an impostor: " +
				"put the output of ssh-keyscan there",
		},
		"bearer token":     {data: map[string]string{"bearerToken": "t"}, want: Auth{BearerToken: "t"}},
		"nothing but a CA": {data: map[string]string{"caFile": "pem"}},
		"two ways":         {data: map[string]string{"bearerToken": "t", "username": "u"}, err: "it has both bearerToken and username or password: remove what the server does not ask for"},
		"nothing": {
			data: map[string]string{"token": "x"},
			err:  "it has neither username and password nor bearerToken (http, https) nor identity and known_hosts (ssh)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := map[string][]byte{}
			for k, v := range c.data {
				data[k] = []byte(v)
			}
			got, err := AuthFromSecret(data)
			if fmt.Sprint(got) != fmt.Sprint(c.want) || c.err == "" != (err == nil) || err != nil && err.Error() != c.err {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

const secret = "hunter2"

func TestBasicAuth(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "x"))
	url, _ := repo.HTTP(testgit.Options{Username: "user", Password: secret})
	within := func(user string) string { return strings.Replace(url, "://", "://"+user+"@", 1) }
	for name, c := range map[string]struct {
		url  string
		auth Auth
		ok   bool
	}{
		"right":               {url, Auth{Username: "user", Password: secret}, true},
		"right, in the URL":   {within("user:" + secret), Auth{}, true},
		"wrong":               {url, Auth{Username: "user", Password: secret + "x"}, false},
		"wrong, in the URL":   {within("user:" + secret + "x"), Auth{}, false},
		"Secret over the URL": {within("user:wrong"), Auth{Username: "user", Password: secret}, true},
		"none":                {url, Auth{}, false},
		"a key":               {url, Auth{Identity: []byte(secret), KnownHosts: []byte("h")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			_, _, err := s.Fetch(t.Context(), Spec{URL: c.url, Ref: Ref{Branch: "main"}, Auth: c.auth}, "")
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var auth *source.AuthError
			want := url + ": authentication failed: authentication required: check the Secret in spec.secretRef"
			if !errors.As(err, &auth) || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

// The store is shared by all who name a URL; the server decides who may see it.
func TestFetchedRepositoryIsNotGivenToOthers(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	commit := repo.Commit(testgit.File("name", "x"))
	url, _ := repo.HTTP(testgit.Options{Username: "user", Password: secret})
	s := newStore(t)
	mustFetch(t, s, Spec{URL: url, Ref: Ref{Branch: "main"}, Auth: Auth{Username: "user", Password: secret}})
	for _, ref := range []Ref{{Branch: "main"}, {Commit: commit}} {
		var auth *source.AuthError
		if _, _, err := s.Fetch(t.Context(), Spec{URL: url, Ref: ref}, ""); !errors.As(err, &auth) {
			t.Errorf("%+v: got %v, want a source.AuthError", ref, err)
		}
	}
}

func TestSSH(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "x"))
	url, identity, known := repo.SSH()
	host, _, _ := strings.Cut(strings.Split(url, "@")[1], "/")
	stranger, strangerKey := newKey(t, "")
	locked := lock(t, identity, secret)
	good := Auth{Identity: identity, KnownHosts: known}
	for name, c := range map[string]struct {
		auth Auth
		want string // after "authentication failed: "
	}{
		"right":           {auth: good},
		"right, locked":   {auth: Auth{Identity: locked, IdentityPassword: secret, KnownHosts: known}},
		"none":            {Auth{}, "ssh needs a Secret with the keys identity (a private key) and known_hosts (the server's keys)"},
		"another key":     {Auth{Identity: stranger, KnownHosts: known}, "the server does not accept the private key in identity"},
		"not a key":       {Auth{Identity: []byte(secret), KnownHosts: known}, "the private key in identity cannot be used: ssh: no key found"},
		"no passphrase":   {Auth{Identity: locked, KnownHosts: known}, "the private key in identity has a passphrase: put it into the key password"},
		"bad known_hosts": {Auth{Identity: identity, KnownHosts: []byte("host only\n")}, "known_hosts cannot be read: give lines as ssh-keyscan prints them"},
		"unknown host": {
			Auth{Identity: identity, KnownHosts: []byte(knownhosts.Line([]string{"example.com"}, strangerKey))},
			"known_hosts has no key of " + host + ": add what ssh-keyscan prints for it",
		},
		"impostor": {
			Auth{Identity: identity, KnownHosts: []byte(knownhosts.Line([]string{knownhosts.Normalize(host)}, strangerKey))},
			"the key of " + host + " is not the one in known_hosts: somebody may be listening in, or it was changed; " +
				"compare it with what the server's owner publishes before changing known_hosts",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			snapshot, _, err := s.Fetch(t.Context(), Spec{URL: url, Ref: Ref{Branch: "main"}, Auth: c.auth}, "")
			wantNoLeftovers(t, s)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				wantFile(t, snapshot.Tree, "name", "x")
				return
			}
			var auth *source.AuthError
			want := redacted(url) + ": authentication failed: " + c.want + ": check the Secret in spec.secretRef"
			if !errors.As(err, &auth) || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

func TestSSHFetchesWhatHTTPDoes(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	first := repo.Commit(testgit.File("name", "one"), testgit.File("it's here!/file", "x"))
	url, identity, known := repo.SSH()
	s := newStore(t)
	spec := Spec{URL: url, Ref: Ref{Branch: "main"}, Auth: Auth{Identity: identity, KnownHosts: known}}
	wantFile(t, mustFetch(t, s, spec).Tree, "name", "one")
	repo.Commit(testgit.File("name", "two"))
	wantFile(t, mustFetch(t, s, spec).Tree, "name", "two")
	repo.Rewrite("main", testgit.File("name", "three"))
	repo.TagWithMessage("v1.0.0", "main", "a message")
	spec.Ref = Ref{SemVer: "*"}
	wantFile(t, mustFetch(t, s, spec).Tree, "name", "three")

	spec.Ref = Ref{Branch: "main", Commit: first}
	var missing *source.NotFoundError
	if _, _, err := newStore(t).Fetch(t.Context(), spec, ""); !errors.As(err, &missing) {
		t.Errorf("a commit that is on no branch any more: %v", err)
	}
	side := repo.CommitTo("side", []testgit.Change{testgit.File("name", "aside")})
	repo.CommitTo("side", []testgit.Change{testgit.File("name", "further")})
	spec.Ref.Commit = side // found at the second question, which takes a second session
	wantFile(t, mustFetch(t, s, spec).Tree, "name", "aside")

	spec.URL = url + "-other"
	_, _, err := s.Fetch(t.Context(), spec, "")
	if want := redacted(spec.URL) + ": repository not found"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	empty := testgit.New(t)
	spec.URL, spec.Auth.Identity, spec.Auth.KnownHosts = empty.SSH()
	if _, _, err := s.Fetch(t.Context(), spec, ""); !errors.As(err, &missing) {
		t.Errorf("an empty repository: %v", err)
	}
}

func newKey(t *testing.T, passphrase string) ([]byte, ssh.PublicKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), public
}

// lock puts a passphrase on a key.
func lock(t *testing.T, identity []byte, passphrase string) []byte {
	t.Helper()
	key, err := ssh.ParseRawPrivateKey(identity)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func TestURLThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	s := must(New(t.TempDir(), Options{}))
	for url, want := range map[string]string{
		"git@example.com:org/repo.git":   "(an address that cannot be parsed): spec.url cannot be parsed: use the form https://host/path or ssh://user@host/path",
		"example.com/repo":               "example.com/repo: spec.url names no host: use the form https://host/path or ssh://user@host/path",
		"git://example.com/repo":         `git://example.com/repo: scheme "git" is not supported: use https, http or ssh`,
		"file:///srv/repo":               "file:///srv/repo: file URLs are off: they read this machine's disk; --allow-file-urls allows them",
		"https:///repo":                  "https:///repo: spec.url names no host: use the form https://host/path or ssh://user@host/path",
		"https://user:hunter2@host:port": "(an address that cannot be parsed): spec.url cannot be parsed: use the form https://host/path or ssh://user@host/path",
		"ftp://user:hunter2@host/repo":   `ftp://host/repo: scheme "ftp" is not supported: use https, http or ssh`,
	} {
		var invalid *source.InvalidError
		if _, _, err := s.Fetch(t.Context(), Spec{URL: url}, ""); !errors.As(err, &invalid) || err.Error() != want {
			t.Errorf("%s: got %v\nwant %s", url, err, want)
		}
	}
}

// Whatever goes wrong, what proves who we are is not told.
func TestCredentialsAreInNoMessage(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "ftp://user:"+secret+"@"+r.Host+"/elsewhere", http.StatusFound)
	}))
	t.Cleanup(broken.Close)
	host := strings.TrimPrefix(broken.URL, "http://")
	s := newStore(t)
	for _, url := range []string{
		"http://user:" + secret + "@" + host + "/repo",
		"http://" + secret + "@" + host + "/repo",
		"http://" + host + "/repo?token=" + secret,
		"ssh://git:" + secret + "@" + host + "/repo",
		"ssh://git:" + secret + "@" + host,
		"file://" + secret + "@host/nothing/there",
		"http://user:" + secret + "@host:port/repo",
	} {
		identity, key := newKey(t, "")
		spec := Spec{URL: url, Auth: Auth{Username: "user", Password: secret, Identity: identity, KnownHosts: []byte(knownhosts.Line([]string{"h"}, key))}}
		_, _, err := s.Fetch(t.Context(), spec, "")
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := s.Open(spec, "main@sha1:0"); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestWordsForTroubleAreStable(t *testing.T) {
	t.Parallel()
	read := &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: 54321}, Addr: &net.TCPAddr{Port: 443}, Err: errors.New("connection reset by peer")}
	for want, err := range map[string]error{
		"read: connection reset by peer":           fmt.Errorf("get: %w", read),
		"host git.example.com not found":           &net.OpError{Op: "dial", Err: &net.DNSError{Name: "git.example.com", IsNotFound: true}},
		"host git.example.com cannot be looked up": &net.DNSError{Name: "git.example.com", Err: "read udp 10.0.0.1:54321->10.0.0.2:53: i/o timeout"},
		"the connection broke off":                 plumbing.NewUnexpectedError(io.ErrUnexpectedEOF),
		"first line":                               errors.New("first line\nsecond line"),
	} {
		if got := describe(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// quick is a server that has answered and is gone before it is told that the request
// is at its end.
type quick struct{ io.Writer }

func (quick) Close() error { return io.EOF }

func TestServerThatIsGoneEarly(t *testing.T) {
	t.Parallel()
	req := packp.NewUploadPackRequest()
	req.Wants = []plumbing.Hash{plumbing.NewHash("6ecf0ef2c2dffb796033e5a02219af86ec6584e5")}
	s := &sshSession{in: quick{io.Discard}, out: strings.NewReader("0008NAK\nPACK")}
	response, err := s.UploadPack(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if pack, err := io.ReadAll(response); err != nil || string(pack) != "PACK" {
		t.Errorf("it says %q, %v", pack, err)
	}
}
