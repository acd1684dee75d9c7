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

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := New(t.TempDir(), Options{AllowFile: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func onMain(url string) Spec { return Spec{URL: url, Ref: Ref{Branch: "main"}} }

func mustFetch(t *testing.T, s *Store, spec Spec) source.Snapshot {
	t.Helper()
	snapshot, _, err := s.Fetch(t.Context(), spec, "")
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func wantFile(t *testing.T, tree source.Tree, name, want string) {
	t.Helper()
	got, err := tree.Read(name)
	if err != nil || string(got) != want {
		t.Fatalf("%s: got %q, %v; want %q", name, got, err, want)
	}
}

func TestRefResolvesByPrecedence(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	commits := map[string]string{}
	for _, name := range []string{"one", "two", "three", "four"} {
		commits[name] = repo.Commit(testgit.File("name", name))
	}
	commits["trunk"] = repo.CommitTo("master", testgit.Files(map[string]string{"name": "trunk"}))
	repo.Tag("v1.0.0", commits["one"])
	repo.TagWithMessage("v1.1.0", commits["two"], "the second")
	repo.Tag("v2.0.0-rc.1", commits["three"])
	repo.Tag("latest", commits["four"])
	repo.SetReference("refs/pull/7/head", commits["three"])
	repo.Config("uploadpack.allowReachableSHA1InWant", "true")
	url, _ := repo.HTTP(testgit.Options{})
	s := newStore(t)
	for name, c := range map[string]struct {
		ref    Ref
		commit string
		label  string
	}{
		"nothing is the branch master":    {Ref{}, "trunk", "master@"},
		"branch":                          {Ref{Branch: "main"}, "four", "main@"},
		"tag over branch":                 {Ref{Branch: "main", Tag: "v1.0.0"}, "one", "v1.0.0@"},
		"annotated tag is its commit":     {Ref{Tag: "v1.1.0"}, "two", "v1.1.0@"},
		"semver over tag":                 {Ref{Tag: "v1.0.0", SemVer: ">=1.0.0"}, "two", "v1.1.0@"},
		"semver with pre-releases":        {Ref{SemVer: ">=1.0.0-0"}, "three", "v2.0.0-rc.1@"},
		"semver of an exact version":      {Ref{SemVer: "1.0.x"}, "one", "v1.0.0@"},
		"name over semver":                {Ref{SemVer: ">=1.0.0", Name: "refs/pull/7/head"}, "three", "refs/pull/7/head@"},
		"name of a branch":                {Ref{Name: "refs/heads/main"}, "four", "refs/heads/main@"},
		"name HEAD":                       {Ref{Name: "HEAD"}, "four", "HEAD@"},
		"name of an annotated tag":        {Ref{Name: "refs/tags/v1.1.0"}, "two", "refs/tags/v1.1.0@"},
		"commit over all":                 {Ref{Name: "refs/heads/main", Commit: commits["two"]}, "two", ""},
		"commit that no reference shows":  {Ref{Commit: commits["one"]}, "one", ""},
		"commit with a branch":            {Ref{Branch: "main", Commit: commits["three"]}, "three", "main@"},
		"commit at an annotated tag only": {Ref{Branch: "main", Commit: commits["two"]}, "two", "main@"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot := mustFetch(t, s, Spec{URL: url, Ref: c.ref})
			if want := c.label + "sha1:" + commits[c.commit]; snapshot.Revision != want {
				t.Errorf("revision %s, want %s", snapshot.Revision, want)
			}
			wantFile(t, snapshot.Tree, "name", c.commit)
		})
	}
}

func TestRefThatIsNotThereSaysWhatIs(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	commit := repo.Commit(testgit.File("name", "x"))
	repo.CommitTo("dev", testgit.Files(map[string]string{"name": "y"}))
	url, _ := repo.HTTP(testgit.Options{})
	tagged := testgit.New(t)
	at := tagged.Commit(testgit.File("name", "x"))
	for _, tag := range []string{"v1.4.0", "v1.3.9", "1.4.0-rc.1", "nightly"} {
		tagged.Tag(tag, at)
	}
	tags, _ := tagged.HTTP(testgit.Options{})
	empty, _ := testgit.New(t).HTTP(testgit.Options{})
	s := newStore(t)
	missing := strings.Repeat("ab", 20)
	for name, c := range map[string]struct {
		url  string
		ref  Ref
		want string
	}{
		"branch":               {url, Ref{Branch: "prod"}, "branch prod not found; the repository has dev, main"},
		"default branch":       {url, Ref{}, "branch master not found; the repository has dev, main"},
		"tag":                  {url, Ref{Tag: "v1"}, "tag v1 not found; the repository has none"},
		"name":                 {url, Ref{Name: "refs/pull/1/head"}, "reference refs/pull/1/head not found; the repository has dev, main"},
		"semver":               {tags, Ref{SemVer: ">=2.0.0"}, "no tag matches semver range '>=2.0.0'; the highest of 3 tags is v1.4.0"},
		"semver without tags":  {url, Ref{SemVer: ">=2.0.0"}, "no tag matches semver range '>=2.0.0'; no tag is a version"},
		"semver that is none":  {tags, Ref{SemVer: "two"}, "spec.ref.semver 'two' is not a range such as '>=1.0.0 <2.0.0': improper constraint: \"two\""},
		"commit":               {url, Ref{Commit: missing}, "commit " + missing + " not found on any branch or tag"},
		"commit with a branch": {url, Ref{Branch: "main", Commit: missing}, "commit " + missing + " not found on any branch or tag"},
		"short commit":         {url, Ref{Commit: commit[:8]}, fmt.Sprintf("spec.ref.commit %q is not a full SHA-1 of 40 hexadecimal digits", commit[:8])},
		"nothing at all":       {empty, Ref{Branch: "main"}, "the repository has no commits: push one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := s.Fetch(t.Context(), Spec{URL: c.url, Ref: c.ref}, "")
			var missing *source.NotFoundError
			if !errors.As(err, &missing) || err.Error() != c.url+": "+c.want {
				t.Errorf("got %v\nwant %s: %s", err, c.url, c.want)
			}
		})
	}
}

func TestCommitThatServerDoesNotGiveByHashComesWithHistory(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	first := repo.Commit(testgit.File("name", "first"))
	repo.Commit(testgit.File("name", "second"))
	repo.CommitTo("other", testgit.Files(map[string]string{"name": "aside"}))
	aside := repo.Run("rev-parse", "other")
	repo.CommitTo("other", testgit.Files(map[string]string{"name": "aside again"}))
	url, meter := repo.HTTP(testgit.Options{})
	s := newStore(t)
	wantFile(t, mustFetch(t, s, onMain(url)).Tree, "name", "second")
	onBranch := Spec{URL: url, Ref: Ref{Branch: "main", Commit: first}}
	wantFile(t, mustFetch(t, s, onBranch).Tree, "name", "first")
	elsewhere := Spec{URL: url, Ref: Ref{Branch: "main", Commit: aside}}
	wantFile(t, mustFetch(t, s, elsewhere).Tree, "name", "aside")
	meter.Take()
	mustFetch(t, s, onBranch)
	if got := meter.Take(); got.Downloads != 0 {
		t.Errorf("a commit that is there was downloaded again: %+v", got)
	}
	repo.Commit(testgit.File("name", "third"))
	wantFile(t, mustFetch(t, s, onMain(url)).Tree, "name", "third")
}

// many is a repository of 5,000 files with a history.
func many(t *testing.T) *testgit.Repo {
	t.Helper()
	repo := testgit.New(t)
	for round := range 3 {
		files := map[string]string{}
		for i := range 5000 {
			files[fmt.Sprintf("apps/%02d/file-%04d.yaml", i%50, i)] = fmt.Sprintf("round: %d\nnumber: %d\ntext: %x\n", round, i, i*7919)
		}
		repo.Commit(testgit.Files(files)...)
	}
	return repo
}

func TestTransferIsProportionalToChange(t *testing.T) {
	t.Parallel()
	repo := many(t)
	url, meter := repo.HTTP(testgit.Options{})
	s := newStore(t)
	first := mustFetch(t, s, onMain(url))
	whole := meter.Take()
	t.Logf("first fetch: %+v", whole)
	wantFile(t, first.Tree, "apps/07/file-0007.yaml", "round: 2\nnumber: 7\ntext: d889\n")

	_, changed, err := s.Fetch(t.Context(), onMain(url), first.Revision)
	if err != nil || changed {
		t.Fatalf("unchanged repository: changed %v, %v", changed, err)
	}
	poll := meter.Take()
	t.Logf("unchanged: %+v", poll)
	if poll.Requests != 1 || poll.Downloads != 0 || poll.Bytes > 2000 {
		t.Errorf("an unchanged repository costs %+v, want the list of references", poll)
	}

	before := repo.Run("rev-parse", "main")
	steps := []struct {
		name   string
		change func()
		want   string
	}{
		{"one file", func() { repo.Commit(testgit.File("apps/07/file-0007.yaml", "new")) }, "new"},
		{"merge of a branch that began before", func() {
			repo.Run("branch", "old", before+"~2")
			side := repo.CommitTo("old", []testgit.Change{testgit.File("apps/08/file-0008.yaml", "side")})
			repo.CommitTo("main", []testgit.Change{testgit.File("apps/07/file-0007.yaml", "merged")}, side)
		}, "merged"},
		{"rewritten history", func() {
			repo.Run("update-ref", "refs/heads/main", repo.Run("commit-tree", "-m", "all in one", before+"^{tree}"))
		}, "round: 2\nnumber: 7\ntext: d889\n"},
	}
	for _, step := range steps {
		step.change()
		meter.Take()
		snapshot := mustFetch(t, s, onMain(url))
		cost := meter.Take()
		t.Logf("%s: %+v", step.name, cost)
		wantFile(t, snapshot.Tree, "apps/07/file-0007.yaml", step.want)
		if cost.Requests != 2 || cost.Bytes > whole.Bytes/50 {
			t.Errorf("%s costs %+v, the whole %+v", step.name, cost, whole)
		}
	}
}

// A server that keeps reachability bitmaps leaves out of an answer all that the
// ancestors of a known commit have, though a shallow store has none of these.
func TestRevertBringsBackWhatAncestorsHad(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("app/config", strings.Repeat("as it was\n", 100)), testgit.File("other", "x"))
	repo.Commit(testgit.File("app/config", "a mistake"))
	url, meter := repo.HTTP(testgit.Options{})
	s := newStore(t)
	wantFile(t, mustFetch(t, s, onMain(url)).Tree, "app/config", "a mistake")
	repo.Commit(testgit.File("app/config", strings.Repeat("as it was\n", 100)))
	repo.Run("repack", "-adb")
	meter.Take()
	wantFile(t, mustFetch(t, s, onMain(url)).Tree, "app/config", strings.Repeat("as it was\n", 100))
	if got := meter.Take(); got.Downloads != 1 {
		t.Errorf("the answer was not whole, which took %d downloads", got.Downloads)
	}
}

func TestConcurrentFetchesDownloadOnce(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "x"))
	url, meter := repo.HTTP(testgit.Options{})
	s := newStore(t)
	for round := range 3 {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				snapshot, _, err := s.Fetch(t.Context(), onMain(url), "")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := snapshot.Tree.Read("name"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := meter.Take(); got.Downloads != 1 {
			t.Errorf("8 fetches at once made %d downloads", got.Downloads)
		}
		repo.Commit(testgit.File("name", fmt.Sprint(round)))
	}
}

func TestBranchesOfOneURLShareAStore(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.Files(map[string]string{"a": strings.Repeat("x", 1000), "b": "main"})...)
	repo.Run("branch", "dev", "main")
	repo.CommitTo("dev", testgit.Files(map[string]string{"b": "dev"}))
	url, meter := repo.HTTP(testgit.Options{})
	s := newStore(t)
	one := mustFetch(t, s, onMain(url))
	two := mustFetch(t, s, Spec{URL: url, Ref: Ref{Branch: "dev"}})
	wantFile(t, one.Tree, "b", "main")
	wantFile(t, two.Tree, "b", "dev")
	meter.Take()
	mustFetch(t, s, onMain(url))
	mustFetch(t, s, Spec{URL: url, Ref: Ref{Branch: "dev"}})
	if got := meter.Take(); got.Downloads != 0 {
		t.Errorf("looking at two branches in turn downloads: %+v", got)
	}
}

func TestFileURL(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "x"))
	spec := onMain("file://" + repo.Dir())
	s := newStore(t)
	wantFile(t, mustFetch(t, s, spec).Tree, "name", "x")
	repo.Commit(testgit.File("name", "y"))
	snapshot := mustFetch(t, s, spec)
	wantFile(t, snapshot.Tree, "name", "y")
	if _, err := s.Open(spec, "main@sha1:"+strings.Repeat("0", 40)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of an unknown revision: %v", err)
	}
}
