package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/plumb-gitops/plumb/source"
)

// dialSSH makes ready to speak by ssh. go-git's own transport is not used, since
// it reads the user's ~/.ssh/config and does not stop when the context ends.
func (s *Store) dialSSH(address string, u *url.URL, spec Spec) (func(context.Context) (session, error), error) {
	a := spec.Auth
	if len(a.Identity) == 0 || len(a.KnownHosts) == 0 {
		return nil, denied(address, errors.New("ssh needs a Secret with the keys identity (a private key) and known_hosts (the server's keys)"))
	}
	if u.Path == "" || u.Path == "/" {
		return nil, unusable(address, "spec.url names no repository: use the form ssh://user@host/path")
	}
	signer, err := signerOf(a)
	if err != nil {
		return nil, denied(address, err)
	}
	host := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "22"))
	config, err := s.sshConfig(address, host, a.KnownHosts)
	if err != nil {
		return nil, err
	}
	dial, err := sshDialer(address, spec.Transport.Proxy)
	if err != nil {
		return nil, err
	}
	if signer, err = s.withoutSHA1(signer); err != nil {
		return nil, denied(address, err)
	}
	config.User = cmp.Or(u.User.Username(), a.Username, "git")
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)}
	return func(ctx context.Context) (session, error) {
		return openSSH(ctx, dial, address, host, u.Path, config)
	}, nil
}

// signerOf parses the private key. The parser's errors say nothing of its content.
func signerOf(a Auth) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(a.Identity)
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		if a.IdentityPassword == "" {
			return nil, errors.New("the private key in identity has a passphrase: put it into the key password")
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(a.Identity, []byte(a.IdentityPassword))
	}
	if err != nil {
		return nil, fmt.Errorf("the private key in identity cannot be used: %w", err)
	}
	return signer, nil
}

// knownHostsFile begins the names of the files of sshConfig.
const knownHostsFile = "known_hosts-"

// sshConfig trusts the given hosts and nobody else. They are read through a file,
// which is the only way in; they are no secret.
func (s *Store) sshConfig(address, host string, known []byte) (*ssh.ClientConfig, error) {
	file, err := os.CreateTemp(s.dir, knownHostsFile)
	if err != nil {
		return nil, &diskError{err}
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(known)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, &diskError{err}
	}
	db, err := knownhosts.NewDB(file.Name())
	if err != nil { // its text names the temporary file
		return nil, denied(address, errors.New("known_hosts cannot be read: give lines as ssh-keyscan prints them"))
	}
	return &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: s.options.SSHKexAlgorithms},
		HostKeyAlgorithms: s.hostKeyAlgorithms(db.HostKeyAlgorithms(host)),
		HostKeyCallback: func(name string, addr net.Addr, key ssh.PublicKey) error {
			return untrusted(host, db.HostKeyCallback()(name, addr, key))
		},
	}, nil
}

// hostKeyError says that a server is not who it should be.
type hostKeyError struct{ text string }

func (e *hostKeyError) Error() string { return e.text }

func untrusted(host string, err error) error {
	switch {
	case err == nil:
		return nil
	case knownhosts.IsHostUnknown(err):
		return &hostKeyError{fmt.Sprintf("known_hosts has no key of %s: add what ssh-keyscan prints for it", host)}
	default:
		return &hostKeyError{fmt.Sprintf("the key of %s is not the one in known_hosts: somebody may be listening in, or it was changed; "+
			"compare it with what the server's owner publishes before changing known_hosts", host)}
	}
}

// sshSession is git-upload-pack running on the server.
type sshSession struct {
	client *ssh.Client
	run    *ssh.Session
	in     io.WriteCloser
	out    io.Reader
	said   *firstBytes // on standard error
	forget func() bool // stops watching the context
	refs   *packp.AdvRefs
}

// openSSH connects, proves both sides and starts git-upload-pack. The end of ctx
// ends the connection, and with it whatever waits for the server.
func openSSH(ctx context.Context, dial dialFunc, address, host, path string, config *ssh.ClientConfig) (session, error) {
	conn, err := dial(ctx, "tcp", host)
	if err != nil {
		await(ctx)
		return nil, err
	}
	s := &sshSession{said: &firstBytes{}, forget: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	c, channels, requests, err := ssh.NewClientConn(conn, host, config)
	if err != nil {
		s.forget()
		return nil, errors.Join(refused(ctx, address, err), ignoreClosed(conn.Close()))
	}
	s.client = ssh.NewClient(c, channels, requests)
	if err := s.start(path); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// await lets a deadline that has passed end its context. A dialer has a clock of its own
// for it, and its error may come first: then nobody could tell yet why.
func await(ctx context.Context) {
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		<-ctx.Done()
	}
}

// refused tells a lack of rights from a lack of luck.
func refused(ctx context.Context, address string, err error) error {
	var host *hostKeyError
	var disagreed *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &host):
		return denied(address, host)
	case errors.As(err, &disagreed):
		return &source.AuthError{Err: fmt.Errorf("%s: %s", address, disagreement(disagreed))}
	case strings.Contains(err.Error(), "no common public key signature algorithm"):
		return denied(address, errors.New("the server takes RSA keys with ssh-rsa signatures only, which rest on SHA-1: "+
			"use an Ed25519 or ECDSA key in identity, or allow it by naming ssh-rsa in --ssh-hostkey-algos"))
	case strings.Contains(err.Error(), "unable to authenticate"):
		return denied(address, errors.New("the server does not accept the private key in identity"))
	default:
		return err
	}
}

func (s *sshSession) start(path string) (err error) {
	if s.run, err = s.client.NewSession(); err != nil {
		return err
	}
	s.run.Stderr = s.said
	if s.in, err = s.run.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.run.StdoutPipe(); err != nil {
		return err
	}
	return s.run.Start("git-upload-pack " + quoted(path))
}

// quoted makes one word of a shell out of any text (git's sq_quote).
func quoted(text string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(text) + "'"
}

// AdvertisedReferencesContext implements session.
func (s *sshSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(s.out)
	switch {
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, s.failure(ctx)
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && refs.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotAnAnswer, err)
	}
	s.refs = refs
	return refs, nil
}

// failure is what the server had to say instead of an answer.
func (s *sshSession) failure(ctx context.Context) error {
	_ = s.run.Wait() // its status says less than its words
	if ctx.Err() != nil {
		return ctx.Err()
	}
	said := s.said.String()
	for _, words := range []string{"does not appear to be a git repository", "not found", "does not exist", "no such repository"} {
		if strings.Contains(strings.ToLower(said), words) {
			return transport.ErrRepositoryNotFound
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	return fmt.Errorf("the server gives no references: %s", cmp.Or(line, "it closed the connection"))
}

// UploadPack implements session.
func (s *sshSession) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	err := errors.Join(
		req.UploadRequest.Encode(s.in),
		req.UploadHaves.Encode(s.in, false),
		pktline.NewEncoder(s.in).Encodef("done\n"),
		ignoreGone(s.in.Close()),
	)
	if err != nil {
		return nil, err
	}
	response := packp.NewUploadPackResponse(req)
	return response, response.Decode(io.NopCloser(s.out))
}

// Close implements session.
func (s *sshSession) Close() error {
	s.forget()
	return ignoreClosed(s.client.Close())
}

// ignoreGone drops the error that means that the server has ended the session: it may
// have answered already, and what it said is still to be read.
func ignoreGone(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// firstBytes keeps the beginning of what is written to it.
type firstBytes struct {
	mu   sync.Mutex
	kept bytes.Buffer
}

func (f *firstBytes) Write(p []byte) (int, error) {
	const most = 4 << 10
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept.Write(p[:min(len(p), most-f.kept.Len())])
	return len(p), nil
}

func (f *firstBytes) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept.String()
}
