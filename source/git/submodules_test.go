package git

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/source"
)

// modules is a .gitmodules file: path and URL in turn.
func modules(pairs ...string) testgit.Change {
	var text strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		text.WriteString("[submodule \"" + pairs[i] + "\"]\n\tpath = " + pairs[i] + "\n\turl = " + pairs[i+1] + "\n")
	}
	return testgit.File(".gitmodules", text.String())
}

func TestSubmodules(t *testing.T) {
	t.Parallel()
	inner, middle, outer := testgit.New(t), testgit.New(t), testgit.New(t)
	pinned := inner.Commit(testgit.File("inner.yaml", "1"))
	inner.Commit(testgit.File("inner.yaml", "2"))
	innerURL, _ := inner.HTTP(testgit.Options{})
	middleCommit := middle.Commit(modules("deep", innerURL), testgit.Submodule("deep", pinned), testgit.File("middle.yaml", "m"))
	middleURL, _ := middle.HTTP(testgit.Options{Username: "git", Password: "secret"})
	outer.Commit(modules("lib/middle", middleURL, "gone", innerURL), testgit.Submodule("lib/middle", middleCommit), testgit.File("top.yaml", "t"))
	outerURL, _ := outer.HTTP(testgit.Options{})

	withUser := strings.Replace(middleURL, "http://", "http://git:secret@", 1)
	outer.CommitTo("let-in", []testgit.Change{modules("lib/middle", withUser), testgit.Submodule("lib/middle", middleCommit), testgit.File("top.yaml", "t")})
	dir := t.TempDir()
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{URL: outerURL, Ref: Ref{Branch: "let-in"}, Submodules: true, Owner: "apps/repo"}
	got := mustFetch(t, s, spec)
	wantFile(t, got.Tree, "top.yaml", "t")
	wantFile(t, got.Tree, "lib/middle/middle.yaml", "m")
	wantFile(t, got.Tree, "lib/middle/deep/inner.yaml", "1") // the commit that is pinned, not the newest

	again, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := again.Open(spec, got.Revision)
	if err != nil || opened.Digest != got.Digest {
		t.Errorf("after a restart: %s, %v, want %s", opened.Digest, err, got.Digest)
	}

	spec.Submodules = false
	if plain := mustFetch(t, s, spec); plain.Digest == got.Digest {
		t.Error("with and without submodules are the same")
	}

	_, _, err = s.Fetch(t.Context(), Spec{URL: outerURL, Ref: Ref{Branch: "main"}, Submodules: true}, "")
	if !errors.As(err, new(*source.AuthError)) || !strings.Contains(err.Error(), "submodule lib/middle: ") {
		t.Errorf("a submodule that lets nobody in: %v", err)
	}
}

// TestSubmoduleCredentials: they go to the same server, and nowhere else.
func TestSubmoduleCredentials(t *testing.T) {
	t.Parallel()
	parent := Spec{URL: "https://git.example.com/team/app.git", Auth: Auth{Password: "secret"}}
	parent.Transport.CA = []byte("ca")
	for address, want := range map[string]struct {
		url string
		in  bool
	}{
		"../lib.git":                       {"https://git.example.com/team/lib.git", true},
		"./lib.git":                        {"https://git.example.com/team/app.git/lib.git", true},
		"../../other/lib.git":              {"https://git.example.com/other/lib.git", true},
		"https://git.example.com/lib.git":  {"https://git.example.com/lib.git", true},
		"http://git.example.com/lib.git":   {"http://git.example.com/lib.git", false},
		"https://git.example.com:8443/lib": {"https://git.example.com:8443/lib", false},
		"https://elsewhere.example.com/x":  {"https://elsewhere.example.com/x", false},
		"git@git.example.com:team/lib.git": {"ssh://git@git.example.com/team/lib.git", false},
	} {
		at, err := moduleURL(parent.URL, address)
		if err != nil || at != want.url {
			t.Errorf("%s: at %s, %v, want %s", address, at, err, want.url)
		}
		got := submoduleSpec(parent, submodule{"lib", at, "0"})
		if in := got.Auth.Password != "" && got.Transport.CA != nil; in != want.in || (got.Auth.Password != "") != want.in {
			t.Errorf("%s: gets the credentials: %t, want %t", address, in, want.in)
		}
	}
}

// TestSubmodulesEnd: one that holds itself is nested without an end.
func TestSubmodulesEnd(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	url, _ := repo.HTTP(testgit.Options{})
	commit := repo.Commit(testgit.File("a", "1"))
	for range mostNested + 1 {
		commit = repo.Commit(modules("again", url), testgit.Submodule("again", commit))
	}
	repo.Config("uploadpack.allowReachableSHA1InWant", "true")
	_, _, err := newStore(t).Fetch(t.Context(), Spec{URL: url, Ref: Ref{Branch: "main"}, Submodules: true}, "")
	if !errors.As(err, new(*source.InvalidError)) || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("got %v", err)
	}
}

func TestSparseCheckout(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.Files(map[string]string{"apps/web/a.yaml": "1", "apps/db/b.yaml": "2", "infra/c.yaml": "3", "top.yaml": "4"})...)
	url, _ := repo.HTTP(testgit.Options{})
	s := newStore(t)
	spec := onMain(url)
	spec.Sparse = []string{"./apps/web/", "/infra"}
	got := mustFetch(t, s, spec)
	wantFile(t, got.Tree, "apps/web/a.yaml", "1")
	wantFile(t, got.Tree, "infra/c.yaml", "3")
	for _, name := range []string{"apps/db/b.yaml", "top.yaml"} {
		if _, err := got.Tree.Read(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	repo.Commit(testgit.File("apps/db/b.yaml", "changed"))
	if next := mustFetch(t, s, spec); next.Revision == got.Revision || next.Digest != got.Digest {
		t.Error("a commit outside of the folders changes their digest")
	}
	spec.Sparse = []string{"none"}
	if _, _, err := s.Fetch(t.Context(), spec, ""); !errors.As(err, new(*source.NotFoundError)) || !strings.Contains(err.Error(), "spec.sparseCheckout: none") {
		t.Errorf("a folder that is not there: %v", err)
	}
	spec.Sparse = []string{"../up"}
	if _, _, err := s.Fetch(t.Context(), spec, ""); !errors.As(err, new(*source.InvalidError)) || !strings.Contains(err.Error(), `"../up"`) {
		t.Errorf("a folder outside: %v", err)
	}
}

// TestOpenIsForWhoFetched: a repository is shared by its URL, what it holds is not.
func TestOpenIsForWhoFetched(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("a", "1"))
	url, _ := repo.HTTP(testgit.Options{})
	s := newStore(t)
	spec := onMain(url)
	spec.Owner = "apps/mine"
	first := mustFetch(t, s, spec)
	repo.Config("uploadpack.allowReachableSHA1InWant", "true")
	repo.Commit(testgit.File("a", "2"))
	second := mustFetch(t, s, spec)
	for _, revision := range []string{first.Revision, second.Revision} { // a status may be behind
		if _, err := s.Open(spec, revision); err != nil {
			t.Error(err)
		}
	}
	side := mustFetch(t, s, Spec{URL: url, Ref: Ref{Commit: strings.TrimPrefix(first.Revision, "main@sha1:")}, Owner: "apps/others"})
	for owner, revision := range map[string]string{"apps/theirs": second.Revision, "apps/mine": side.Revision} {
		spec.Owner = owner
		if _, err := s.Open(spec, revision); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s opened %s: %v", owner, revision, err)
		}
	}
}

// TestCollect: a repository goes with the last who fetched it, with its submodules.
func TestCollect(t *testing.T) {
	t.Parallel()
	inner, outer := testgit.New(t), testgit.New(t)
	innerURL, _ := inner.HTTP(testgit.Options{})
	outer.Commit(modules("lib", innerURL), testgit.Submodule("lib", inner.Commit(testgit.File("a", "1"))), testgit.File("b", "2"))
	outerURL, _ := outer.HTTP(testgit.Options{})
	s := newStore(t)
	with := func(owner, url string, submodules bool) Spec {
		return Spec{URL: url, Ref: Ref{Branch: "main"}, Owner: owner, Submodules: submodules}
	}
	first := mustFetch(t, s, with("apps/one", outerURL, true))
	mustFetch(t, s, with("apps/two", outerURL, false))
	repositories := func(want int) {
		t.Helper()
		if err := s.Collect(); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(s.dir, "*", generationFolder+"*"))
		if err != nil || len(found) != want {
			t.Errorf("%d repositories, %v, want %d", len(found), err, want)
		}
	}
	repositories(2)
	if _, err := s.Open(with("apps/one", outerURL, true), first.Revision); err != nil {
		t.Error(err)
	}
	s.Forget("apps/one")
	repositories(1) // apps/two has the other
	mustFetch(t, s, with("apps/two", innerURL, false))
	repositories(1)                                                                     // it went from one address to another
	wantFile(t, mustFetch(t, s, with("apps/three", outerURL, true)).Tree, "lib/a", "1") // from nothing
	s.Forget("apps/two")
	s.Forget("apps/three")
	repositories(0)
}

func FuzzParseModules(f *testing.F) {
	f.Add([]byte("[submodule \"a\"]\n\tpath = a/b\n\turl = ../x\n"))
	f.Add([]byte("[submodule \"a\"]\n\tpath = ../../etc\n\turl = file:///\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		found, err := parseModules(content)
		if err != nil {
			return
		}
		for at, address := range found {
			if !fs.ValidPath(at) || at == "." {
				t.Errorf("the path %q leaves the tree", at)
			}
			_, _ = moduleURL("https://git.example.com/a/b", address) // must not panic
		}
	})
}
