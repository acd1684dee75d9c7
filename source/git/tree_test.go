package git

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/source"
)

// listing is all that is in a tree, one entry a line.
func listing(t *testing.T, tree source.Tree, folder string) string {
	t.Helper()
	entries, err := tree.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, e := range entries {
		name := strings.TrimPrefix(folder+"/"+e.Name, "./")
		fmt.Fprintf(&out, "%s %s\n", e.Mode, name)
		if again, err := tree.Stat(name); err != nil || again != e {
			t.Errorf("%s: stat says %v, %v; the listing %v", name, again, err, e)
		}
		if e.IsDir() {
			out.WriteString(listing(t, tree, name))
		}
	}
	return out.String()
}

func TestTreeShowsTheCommit(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(
		testgit.File("foo.yaml", "a file"),
		testgit.File("foo/bar/deep.yaml", "a deep file"),
		testgit.Executable("run.sh", "#!/bin/sh\n"),
		testgit.Link("link", "foo/bar"),
		testgit.Submodule("sub", strings.Repeat("1", 40)),
		testgit.File("foo-bar", ""),
	)
	url, _ := repo.HTTP(testgit.Options{})
	tree := mustFetch(t, newStore(t), onMain(url)).Tree
	want := `drwxr-xr-x foo
drwxr-xr-x foo/bar
-rw-r--r-- foo/bar/deep.yaml
-rw-r--r-- foo-bar
-rw-r--r-- foo.yaml
Lrwxrwxrwx link
-rwxr-xr-x run.sh
drwxr-xr-x sub
`
	if got := listing(t, tree, "."); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	wantFile(t, tree, "foo/bar/deep.yaml", "a deep file")
	wantFile(t, tree, "link", "foo/bar")
	wantFile(t, tree, "foo-bar", "")
	for _, name := range []string{"nothing", "foo/nothing", "foo.yaml/below", "link/deep.yaml", "sub/file", "..", "../x", "/foo", "", "foo//bar"} {
		if _, err := tree.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat %q: %v", name, err)
		}
		if _, err := tree.Read(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %q: %v", name, err)
		}
		if _, err := tree.List(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list %q: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"foo: is a folder":               second(tree.Read("foo")),
		"foo.yaml: not a folder":         second(tree.List("foo.yaml")),
		"link: not a folder":             second(tree.List("link")),
		".: is a folder":                 second(tree.Read(".")),
		"foo/bar: is a folder":           second(tree.Read("foo/bar")),
		"foo-bar: not a folder":          second(tree.List("foo-bar")),
		"run.sh: not a folder":           second(tree.List("run.sh")),
		"foo/bar/x: file does not exist": second(tree.Stat("foo/bar/x")),
	} {
		if err == nil || err.Error() != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestHashesTellWhatChanged(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("a/file", "1"), testgit.File("b/file", "1"))
	url, _ := repo.HTTP(testgit.Options{})
	s := newStore(t)
	before := mustFetch(t, s, onMain(url))
	repo.Commit(testgit.File("a/file", "2"))
	after := mustFetch(t, s, onMain(url))
	for name, same := range map[string]bool{".": false, "a": false, "a/file": false, "b": true, "b/file": true} {
		one, err1 := before.Tree.Stat(name)
		two, err2 := after.Tree.Stat(name)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if (one.Hash == two.Hash) != same {
			t.Errorf("%s: hashes %s and %s", name, one.Hash, two.Hash)
		}
	}
}

func TestDigestNamesTheContentThatIsSeen(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	url, _ := repo.HTTP(testgit.Options{})
	s := newStore(t)
	seen := map[string]string{}
	for _, step := range []struct {
		name   string
		change testgit.Change
		same   string // the step whose content this is
	}{
		{"first", testgit.File("app/a.yaml", "1"), ""},
		{"a file that is left out", testgit.File("app/logo.png", "x"), "first"},
		{"another", testgit.File("app/b.yaml", "1"), ""},
		{"and away", testgit.Remove("app/b.yaml"), "first"},
		{"changed", testgit.File("app/a.yaml", "2"), ""},
		{"executable", testgit.Executable("app/a.yaml", "1"), ""},
		{"a link of the same content", testgit.Link("app/a.yaml", "1"), ""},
		{"as it was", testgit.File("app/a.yaml", "1"), "first"},
	} {
		repo.Commit(step.change)
		snapshot := mustFetch(t, s, onMain(url))
		alone := mustFetch(t, newStore(t), onMain(url)) // remembers nothing
		if snapshot.Digest != alone.Digest {
			t.Errorf("%s: digest %s, and computed anew %s", step.name, snapshot.Digest, alone.Digest)
		}
		for name, digest := range seen {
			if same := name == step.same || seen[step.same] == digest; (digest == snapshot.Digest) != same {
				t.Errorf("%s and %s: digests equal %v, want %v", step.name, name, !same, same)
			}
		}
		seen[step.name] = snapshot.Digest
	}
	all := ""
	withImages := mustFetch(t, s, Spec{URL: url, Ref: Ref{Branch: "main"}, Ignore: new("!*.png")})
	if entries, err := withImages.Tree.List("app"); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if withImages.Digest == seen["as it was"] {
		t.Error("other ignore rules let another file be seen, under the same digest")
	}
	if same := mustFetch(t, s, Spec{URL: url, Ref: Ref{Branch: "main"}, Ignore: &all}); same.Digest != seen["as it was"] {
		t.Error("ignore rules that leave out nothing more change the digest")
	}
}

//go:fix inline

func TestTreeIsReadWhileOthersFetch(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("%d/file", i)] = strings.Repeat(fmt.Sprint(i), 50)
	}
	repo.Commit(testgit.Files(files)...)
	url, _ := repo.HTTP(testgit.Options{})
	s := newStore(t)
	snapshot := mustFetch(t, s, onMain(url))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for name, content := range files {
				if got, err := snapshot.Tree.Read(name); err != nil || string(got) != content {
					t.Errorf("%s: %q, %v", name, got, err)
					return
				}
			}
		})
	}
	for i := range 5 {
		if i%2 == 0 {
			repo.Commit(testgit.File("0/file", fmt.Sprint(i)))
		} else {
			repo.Rewrite("main", testgit.Files(files)...)
			s.repository(url).newest().broken.Store(true) // brings a fresh generation
		}
		mustFetch(t, s, onMain(url))
	}
	readers.Wait()
}
