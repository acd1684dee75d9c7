package source

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// files are all files of a tree, sorted.
func files(t testing.TB, tree Tree) []string {
	t.Helper()
	var found []string
	var walk func(string)
	walk = func(folder string) {
		entries, err := tree.List(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := path.Join(folder, e.Name)
			if e.IsDir() {
				walk(name)
			} else {
				found = append(found, name)
			}
		}
	}
	walk(".")
	slices.Sort(found)
	return found
}

func memory(names ...string) MemoryTree {
	m := MemoryTree{}
	for _, name := range names {
		name, content, _ := strings.Cut(name, "=")
		m[name] = content
	}
	return m
}

//go:fix inline

func TestIgnored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tree MemoryTree
		spec *string
		want string
	}{
		"default list": {
			tree: memory("a.yaml", "logo.png", "x/y.JPG", "x/y.jpg", "x.tar.gz", "x.tar", ".git/config", "sub/.gitignore", ".gitmodules", ".gitattributes",
				".github/workflows/ci.yaml", "deep/.circleci/config.yml", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", "cloudbuild.yaml",
				"codeship-services.yml", "codeship-steps.yml", "deep/.goreleaser.yml", ".sops.yaml", "deep/.sops.yaml", ".flux.yaml", "movie.flv", "movie.wmv", "a.gif", "a.jpeg", "a.zip"),
			want: "a.yaml x.tar x/y.JPG",
		},
		"spec adds to the default list": {memory("a.yaml", "a.md", "a.png"), new("*.md"), "a.yaml"},
		"spec brings back":              {memory("a.yaml", "a.png", ".gitignore"), new("!*.png\n!.gitignore"), ".gitignore a.png a.yaml"},
		"empty spec":                    {memory("a.yaml", "a.png"), new(""), "a.yaml"},
		"comments and blanks":           {memory("a", "#a", " "), new("# all\n\n   \n\\#a\n"), "  a"},
		"carriage returns":              {memory("a", "b"), new("a\r\n"), "b"},
		"file in the root":              {memory(".sourceignore=*.md\n!keep.png", "a.md", "x/b.md", "keep.png", "other.png", "c"), nil, ".sourceignore c keep.png"},
		"file in a folder":              {memory("x/.sourceignore=/a\n*.md", "a", "x/a", "x/y/a", "x/y/b.md", "b.md"), nil, "a b.md x/.sourceignore x/y/a"},
		"deeper files win":              {memory(".sourceignore=*.md", "x/.sourceignore=!keep.md", "keep.md", "x/keep.md", "x/other.md"), nil, ".sourceignore x/.sourceignore x/keep.md"},
		"spec wins over files":          {memory("x/.sourceignore=a\n!b", "x/a", "x/b"), new("!x/a\nx/b"), "x/.sourceignore x/a"},
		"all but one folder":            {memory("a", "deploy/a.yaml", "deploy/x/b.md", "other/deploy/c"), new("/*\n!/deploy\n/deploy/**/*.md"), "deploy/a.yaml"},
		"all but a folder's folder":     {memory("a", "apps/prod/x", "apps/dev/x", "other/prod/x"), new("/*\n!/apps/prod"), "apps/prod/x"},
		"all but files of a kind":       {memory("a.txt", "x/a.yaml", "x/a.txt", "y/a.txt"), new("*\n!*.yaml"), "x/a.yaml"},
		"a file in an excluded folder":  {memory("x/a", "x/b", "y/a"), new("x/\n!x/a"), "x/a y/a"},
		"a file of an excluded folder":  {memory(".sourceignore=x/", "x/.sourceignore=!a", "x/a"), nil, ".sourceignore"},
		"folders only":                  {memory("x/a", "y"), new("x/\ny/"), "y"},
		"a pattern that makes no sense": {memory("a", "[", "a[b"), new("[\na[b\n!["), "[ a a[b"},
		"everything":                    {memory("a", "x/b"), new("*"), ""},
		"a folder of that name":         {memory(".sourceignore/a", "b.md"), nil, ".sourceignore/a b.md"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, err := Ignored(c.tree, c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(files(t, seen), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			wantAgreement(t, c.tree, seen)
			if got := strings.Join(judged(t, c.tree, c.spec), " "); got != c.want {
				t.Errorf("file by file it is %q, want %q", got, c.want)
			}
		})
	}
}

// judged are the files that Judge lets be seen, sorted.
func judged(t testing.TB, tree MemoryTree, spec *string) []string {
	t.Helper()
	rules := MemoryTree{}
	for name, content := range tree {
		if path.Base(name) == IgnoreFile {
			rules[name] = content
		}
	}
	visible, err := Judge(rules, spec)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for name := range tree {
		seen, err := visible(name)
		if err != nil {
			t.Fatal(err)
		}
		if seen {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// wantAgreement checks that listings, Stat and Read see the same files.
func wantAgreement(t testing.TB, tree MemoryTree, seen Tree) {
	t.Helper()
	listed := files(t, seen)
	for name := range tree {
		_, err := seen.Stat(name)
		_, rerr := seen.Read(name)
		if visible := slices.Contains(listed, name); visible != (err == nil) || visible != (rerr == nil) {
			t.Errorf("%s: listed %v, stat says %v, read says %v", name, visible, err, rerr)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if _, ferr := seen.Stat(path.Dir(name)); err == nil && ferr != nil {
			t.Errorf("%s is seen, its folder not: %v", name, ferr)
		}
	}
}

func TestExcludedFileSaysWhy(t *testing.T) {
	t.Parallel()
	seen, err := Ignored(memory("x/a.md"), new("*.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = seen.Read("x/a.md")
	if want := "x/a.md is excluded by the source's ignore rules: file does not exist"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// lookedAt counts the listings of a tree.
type lookedAt struct {
	Tree
	folders map[string]int
}

func (l lookedAt) List(name string) ([]Entry, error) {
	l.folders[name]++
	return l.Tree.List(name)
}

func TestOnlyFoldersThatAreAskedForAreListed(t *testing.T) {
	t.Parallel()
	l := lookedAt{memory("deploy/a", "src/x/y/z", "docs/a"), map[string]int{}}
	seen, err := Ignored(l, new("/*\n!/deploy"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := seen.List("."); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.folders) != 1 || l.folders["."] != 3 {
		t.Errorf("listed %v, want the root only: nothing below src or docs can be brought back", l.folders)
	}
}

func TestDigestOfWhatIsSeen(t *testing.T) {
	t.Parallel()
	d := &Digests{}
	digest := func(tree Tree, spec *string) string {
		t.Helper()
		seen, err := Ignored(tree, spec)
		if err != nil {
			t.Fatal(err)
		}
		remembered, err1 := d.Of(seen)
		anew, err2 := (&Digests{}).Of(seen)
		if err := errors.Join(err1, err2); err != nil || remembered != anew {
			t.Fatalf("%s, computed anew %s, %v", remembered, anew, err)
		}
		return remembered
	}
	base := digest(memory("x/a=1", "b=2"), nil)
	for name, same := range map[string]string{
		"excluded file":          digest(memory("x/a=1", "b=2", "x/c.png=3"), nil),
		"excluded by spec":       digest(memory("x/a=1", "b=2", "x/c=3"), new("c")),
		"the folder's own rules": digest(memory("x/a=1", "b=2", "y.md=3"), new("*.md")),
	} {
		if same != base {
			t.Errorf("%s: the digest differs though the same is seen", name)
		}
	}
	for name, other := range map[string]string{
		"content":        digest(memory("x/a=2", "b=2"), nil),
		"name":           digest(memory("x/c=1", "b=2"), nil),
		"further file":   digest(memory("x/a=1", "b=2", "c=3"), nil),
		"fewer files":    digest(memory("x/a=1"), nil),
		"moved":          digest(memory("y/a=1", "b=2"), nil),
		"hidden by spec": digest(memory("x/a=1", "b=2"), new("/x/a")),
		"ignore file":    digest(memory("x/a=1", "b=2", "x/.sourceignore="), nil),
	} {
		if other == base {
			t.Errorf("%s: the digest is the same though something else is seen", name)
		}
	}
}

func FuzzIgnored(f *testing.F) {
	for _, text := range []string{
		"", "*", "!", "/", "//", "!/", "**", "**/", "/**", "a/**/b", "!a/**", "*.md\n!x/*.md", "\\!a", "\\#a", "# a", "a\\ ", "[", "[]", "[a-", "[!a]", "{a,b}",
		"/*\n!/x", "/*\n!/x/y", "x/\n!x/y/", "a**b", "\x00", "\xff", "\r\n", " ", "a\r", "!!a", "/x/y/a\n", "./a", "../a", "x/./a",
	} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, file, spec string) {
		tree := memory("a", "b.md", "x/a", "x/b.md", "x/y/a", "x/y/b.md", "z/a", "#a", "!a")
		tree["x/.sourceignore"] = file
		seen, err := Ignored(tree, &spec)
		if err != nil {
			t.Fatal(err)
		}
		wantAgreement(t, tree, seen)
		if _, err := (&Digests{}).Of(seen); err != nil {
			t.Error(err)
		}
	})
}
