package git

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/source"
)

// author is somebody who signs.
type author struct {
	public []byte // as a Secret has it
	sign   func(t *testing.T, payload []byte) string
	key    ed25519.PrivateKey // of one who signs by SSH
}

func pgpAuthor(t *testing.T) author {
	t.Helper()
	who, err := openpgp.NewEntity("author", "", "author@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	public := &bytes.Buffer{}
	w, err := armor.Encode(public, openpgp.PublicKeyType, nil)
	if err := errors.Join(err, who.Serialize(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	return author{public: public.Bytes(), sign: func(t *testing.T, payload []byte) string {
		t.Helper()
		out := &bytes.Buffer{}
		if err := openpgp.ArmoredDetachSign(out, who, bytes.NewReader(payload), nil); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}}
}

func sshAuthor(t *testing.T, namespace string) author {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return author{public: ssh.MarshalAuthorizedKey(signer.PublicKey()), key: private, sign: func(t *testing.T, payload []byte) string {
		t.Helper()
		sig, err := sshsig.Sign(bytes.NewReader(payload), signer, sshsig.HashSHA512, namespace)
		if err != nil {
			t.Fatal(err)
		}
		return string(sshsig.Armor(sig))
	}}
}

// signedCommit puts a signed commit on a branch and returns its hash.
func signedCommit(t *testing.T, r *testgit.Repo, branch string, by author) string {
	t.Helper()
	r.CommitTo(branch, []testgit.Change{testgit.File("signed.yaml", string(by.public))})
	payload := r.Run("cat-file", "commit", branch) + "\n"
	header := "gpgsig " + strings.ReplaceAll(strings.TrimSpace(by.sign(t, []byte(payload))), "\n", "\n ")
	return store(t, r, "commit", "refs/heads/"+branch, strings.Replace(payload, "\n\n", "\n"+header+"\n\n", 1))
}

// signedTag makes a signed tag of a commit.
func signedTag(t *testing.T, r *testgit.Repo, name, commit string, by author) {
	t.Helper()
	r.TagWithMessage(name, commit, "a release")
	payload := r.Run("cat-file", "tag", name) + "\n"
	store(t, r, "tag", "refs/tags/"+name, payload+by.sign(t, []byte(payload)))
}

func store(t *testing.T, r *testgit.Repo, kind, ref, content string) string {
	t.Helper()
	hash, err := r.Git([]byte(content), "hash-object", "-t", kind, "-w", "--stdin")
	if err != nil {
		t.Fatal(err)
	}
	r.SetReference(ref, hash)
	return hash
}

func trusting(t *testing.T, mode string, keys ...author) *Verify {
	t.Helper()
	data := map[string][]byte{}
	for i, a := range keys {
		data[string(rune('a'+i))] = a.public
	}
	v, err := VerifyFromSecret(mode, data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	t.Parallel()
	pgp, sshKey, stranger := pgpAuthor(t), sshAuthor(t, "git"), pgpAuthor(t)
	file := sshAuthor(t, "file") // signs, but not for git
	repo := testgit.New(t)
	unsigned := repo.Commit(testgit.File("a", "1"))
	repo.CommitTo("plain", nil)
	pgpCommit, sshCommit := signedCommit(t, repo, "pgp", pgp), signedCommit(t, repo, "ssh", sshKey)
	signedCommit(t, repo, "stranger", stranger)
	signedCommit(t, repo, "file", file)
	signedTag(t, repo, "v1.0.0", unsigned, pgp)
	signedTag(t, repo, "v1.1.0", sshCommit, sshKey)
	signedTag(t, repo, "v1.2.0", pgpCommit, stranger)
	repo.TagWithMessage("v2.0.0", unsigned, "nobody signs this")
	repo.Tag("light", pgpCommit)
	url, _ := repo.HTTP(testgit.Options{})
	trusted := []author{pgp, sshKey, file}
	for name, c := range map[string]struct {
		mode string
		ref  Ref
		keys []author
		want string // begins what is said of the signature
		fail string // is in the error
	}{
		"commit by OpenPGP":             {VerifyHEAD, Ref{Branch: "pgp"}, trusted, "verified signature of commit '" + pgpCommit + "' with key '", ""},
		"commit by SSH":                 {"", Ref{Branch: "ssh"}, trusted, "verified signature of commit '" + sshCommit + "' with key 'SHA256:", ""},
		"commit, the old name":          {"head", Ref{Branch: "pgp"}, trusted, "verified signature of commit", ""},
		"commit by somebody else":       {VerifyHEAD, Ref{Branch: "stranger"}, trusted, "", "is not signed by a trusted key"},
		"commit by nobody":              {VerifyHEAD, Ref{Branch: "plain"}, trusted, "", "is not signed"},
		"signed for something else":     {VerifyHEAD, Ref{Branch: "file"}, trusted, "", "is not signed by a trusted key"},
		"no key of that sort":           {VerifyHEAD, Ref{Branch: "ssh"}, []author{pgp}, "", "no SSH key is trusted"},
		"tag by OpenPGP":                {VerifyTag, Ref{Tag: "v1.0.0"}, trusted, "verified signature of tag '", ""},
		"tag by SSH":                    {VerifyTag, Ref{SemVer: "1.1.x"}, trusted, "verified signature of tag '", ""},
		"tag by its name":               {VerifyTag, Ref{Name: "refs/tags/v1.0.0"}, trusted, "verified signature of tag '", ""},
		"tag by somebody else":          {VerifyTag, Ref{Tag: "v1.2.0"}, trusted, "", "is not signed by a trusted key"},
		"tag by nobody":                 {VerifyTag, Ref{Tag: "v2.0.0"}, trusted, "", "is not signed"},
		"tag that is no object":         {VerifyTag, Ref{Tag: "light"}, trusted, "", "is not an annotated one"},
		"tag and commit":                {VerifyTagAndHEAD, Ref{Tag: "v1.1.0"}, trusted, "verified signature of tag '", ""},
		"tag signed, its commit is not": {VerifyTagAndHEAD, Ref{Tag: "v1.0.0"}, trusted, "", "commit '" + unsigned + "' is not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, err := New(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			spec := Spec{URL: url, Ref: c.ref, Verify: trusting(t, c.mode, c.keys...), Owner: "apps/repo"}
			got, _, err := s.Fetch(t.Context(), spec, "")
			if c.fail != "" {
				if !errors.As(err, new(*source.VerifyError)) || !strings.Contains(err.Error(), c.fail) {
					t.Errorf("got %v, want a VerifyError with %q", err, c.fail)
				}
				return
			}
			if err != nil || !strings.HasPrefix(got.Verified, c.want) {
				t.Fatalf("got %q, %v; want %q", got.Verified, err, c.want)
			}
			if again, err := New(dir, Options{}); err != nil {
				t.Error(err)
			} else if opened, err := again.Open(spec, got.Revision); err != nil || opened.Verified != got.Verified {
				t.Errorf("after a restart: %q, %v", opened.Verified, err)
			}
			spec.Verify = trusting(t, c.mode, stranger)
			if _, err := s.Open(spec, got.Revision); !errors.As(err, new(*source.VerifyError)) {
				t.Errorf("opened though its key is not trusted any more: %v", err)
			}
		})
	}
}

// TestVerifyTagNeedsATag: a spec that cannot be meant stalls.
func TestVerifyTagNeedsATag(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	commit := repo.Commit(testgit.File("a", "1"))
	url, _ := repo.HTTP(testgit.Options{})
	for _, ref := range []Ref{{Branch: "main"}, {Branch: "main", Commit: commit}, {Name: "refs/heads/main"}} {
		spec := Spec{URL: url, Ref: ref, Verify: trusting(t, VerifyTag, pgpAuthor(t))}
		if _, _, err := newStore(t).Fetch(t.Context(), spec, ""); !errors.As(err, new(*source.InvalidError)) || !strings.Contains(err.Error(), "spec.ref.tag") {
			t.Errorf("%+v: got %v", ref, err)
		}
	}
}

// TestVerifyTagOfACommitThatIsThere: the commit came by a branch before, the tag did
// not.
func TestVerifyTagOfACommitThatIsThere(t *testing.T) {
	t.Parallel()
	by := pgpAuthor(t)
	repo := testgit.New(t)
	signedTag(t, repo, "v1.0.0", repo.Commit(testgit.File("a", "1")), by)
	url, _ := repo.HTTP(testgit.Options{})
	s := newStore(t)
	mustFetch(t, s, onMain(url))
	if got := mustFetch(t, s, Spec{URL: url, Ref: Ref{Tag: "v1.0.0"}, Verify: trusting(t, VerifyTag, by)}); got.Verified == "" {
		t.Error("nothing was verified")
	}
}

// TestVerifyWhatGitSigns: commits and tags signed by git itself, with ssh-keygen.
func TestVerifyWhatGitSigns(t *testing.T) {
	t.Parallel()
	by := sshAuthor(t, "git")
	block, err := ssh.MarshalPrivateKey(by.key, "")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	repo := testgit.New(t)
	repo.Commit(testgit.File("a", "1"))
	signing := []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + key}
	commit := repo.Run(append(signing, "commit-tree", "-S", "-m", "signed\n\nwith a body", "-p", "main", "main^{tree}")...)
	repo.SetReference("refs/heads/main", commit)
	repo.Run(append(signing, "tag", "-s", "-m", "release", "v1.0.0", commit)...)
	url, _ := repo.HTTP(testgit.Options{})
	got := mustFetch(t, newStore(t), Spec{URL: url, Ref: Ref{Tag: "v1.0.0"}, Verify: trusting(t, VerifyTagAndHEAD, by)})
	if !strings.Contains(got.Verified, "tag '") || !strings.Contains(got.Verified, "commit '"+commit) {
		t.Errorf("got %q", got.Verified)
	}
}

func TestVerifyFromSecret(t *testing.T) {
	t.Parallel()
	pgp, one, two := pgpAuthor(t), sshAuthor(t, "git"), sshAuthor(t, "git")
	signers := "# who may\n\nmail@example.com namespaces=\"git\" " + string(one.public) + "mail@example.com " + string(two.public)
	v, err := VerifyFromSecret("Tag", map[string][]byte{"pgp.asc": pgp.public, "signers": []byte(signers), "id.pub": one.public})
	if err != nil || v.Mode != VerifyTag || len(v.PGP) != 1 || len(v.SSH) != 3 {
		t.Errorf("got %+v, %v", v, err)
	}
	for name, c := range map[string]struct {
		data map[string][]byte
		want string
	}{
		"nothing":     {nil, "no public keys"},
		"no key":      {map[string][]byte{"a.pub": []byte("hello")}, "a.pub: line 1 is neither"},
		"broken pgp":  {map[string][]byte{"a.asc": []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n")}, "a.asc: the OpenPGP keys cannot be read"},
		"private key": {map[string][]byte{"id": []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")}, "id: line 1"},
	} {
		if _, err := VerifyFromSecret("HEAD", c.data); !errors.As(err, new(*source.InvalidError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzVerifyFromSecret: keys are foreign bytes.
func FuzzVerifyFromSecret(f *testing.F) {
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENB\n-----END PGP PUBLIC KEY BLOCK-----"))
	f.Add([]byte("mail@example.com namespaces=\"git\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"))
	f.Fuzz(func(t *testing.T, content []byte) {
		v, err := VerifyFromSecret("HEAD", map[string][]byte{"key": content})
		if err == nil && len(v.PGP)+len(v.SSH) == 0 {
			t.Error("no keys, and no error")
		}
	})
}

// FuzzSplit: a signature is never part of what it signs, and nothing else is lost.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("tree 0\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\ngpgsig in the message\n"))
	f.Add([]byte("object 0\n\nmessage\n-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		payload, signature := splitTag(raw)
		if !bytes.Equal(append(bytes.Clone(payload), signature...), raw) {
			t.Error("the tag is not its two parts")
		}
		payload, _ = splitCommit(raw)
		if head, _, ok := bytes.Cut(payload, []byte("\n\n")); ok && bytes.HasPrefix(head, []byte("gpgsig ")) {
			t.Error("the signature is in the payload")
		}
	})
}

// A server may show any tag object under any name, and any commit beside it: what is
// signed decides.
func TestVerifyBelievesTheTagNotTheServer(t *testing.T) {
	t.Parallel()
	by := sshAuthor(t, "git")
	repo := testgit.New(t)
	old := repo.Commit(testgit.File("a", "1"))
	signedTag(t, repo, "v1.0.0", old, by)
	repo.Run("update-ref", "refs/tags/v2.0.0", repo.Run("rev-parse", "refs/tags/v1.0.0"))
	evil := repo.Commit(testgit.File("a", "evil"))
	url, _ := repo.HTTP(testgit.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
			_, _ = w.Write(bytes.ReplaceAll(answer.Body.Bytes(), []byte(old+" refs/tags/v1.0.0^{}"), []byte(evil+" refs/tags/v1.0.0^{}")))
		})
	}})
	s := newStore(t)
	mustFetch(t, s, onMain(url)) // somebody else's: the commit is there
	for tag, want := range map[string]string{
		"v1.0.0": "tag 'v1.0.0' does not name commit '" + evil + "'",
		"v2.0.0": `tag 'v2.0.0' is signed as another one, "v1.0.0"`,
	} {
		_, _, err := s.Fetch(t.Context(), Spec{URL: url, Ref: Ref{Tag: tag}, Verify: trusting(t, VerifyTag, by)}, "")
		if !errors.As(err, new(*source.VerifyError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", tag, err, want)
		}
	}
}
