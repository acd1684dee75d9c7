package objects

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

// listing is a bucket of which only the listing matters: what a real server does not
// take as a key, another one may have.
type listing []Object

func (l listing) List(_ context.Context, each func(Object) error) error {
	for _, o := range l {
		if err := each(o); err != nil {
			return err
		}
	}
	return nil
}

func keys(names ...string) (l listing) {
	for _, name := range names {
		l = append(l, Object{Key: name, ETag: "e", Size: 1})
	}
	return l
}

// chosenOf are the keys that become files, with these rules in the root.
func chosenOf(ctx context.Context, l listing, rules string, spec *string, limits source.Limits) ([]string, error) {
	visible, err := source.Judge(source.MemoryTree{source.IgnoreFile: rules}, spec)
	if err != nil {
		return nil, err
	}
	listed, err := list(ctx, lister{l}, limits)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(listed, visible, limits)
	var names []string
	for _, o := range chosen {
		names = append(names, o.Key)
	}
	return names, err
}

// lister is a bucket whose objects nobody gets.
type lister struct{ listing }

func (lister) Get(context.Context, string) (io.ReadCloser, string, error) { return nil, "", ErrGone }

func TestKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys  listing
		rules string
		spec  *string
		want  string // the files
		fail  string // in the error
	}{
		"plain":                                  {keys: keys("b/c.yaml", "a.yaml"), want: "a.yaml b/c.yaml"},
		"folder markers are skipped":             {keys: keys("a/", "a/b.yaml", "c/d/", "/", "../"), want: "a/b.yaml"},
		"a marker does not collide with a file":  {keys: keys("a", "a/"), want: "a"},
		"case tells files apart":                 {keys: keys("a.yaml", "A.yaml", "x/B", "X/b"), want: "A.yaml X/b a.yaml x/B"},
		"unusual names are names":                {keys: keys("...", "a b", "ä", "a\\b", "-", "~", "..a", "a..", "%2e%2e", "a\nb"), want: "%2e%2e - ... ..a a\nb a b a.. a\\b ~ ä"},
		"listed twice":                           {keys: keys("a", "b", "a"), want: "a b"},
		"leaves the tree":                        {keys: keys("../a"), fail: `object "../a" cannot be part of a tree: it leaves the tree`},
		"leaves it on the way":                   {keys: keys("a/../../b"), fail: "it leaves the tree"},
		"comes back":                             {keys: keys("a/../b"), fail: "it leaves the tree"},
		"ends outside":                           {keys: keys("a/.."), fail: "it leaves the tree"},
		"absolute":                               {keys: keys("/etc/passwd"), fail: `object "/etc/passwd" cannot be part of a tree: it begins with a slash`},
		"empty segment":                          {keys: keys("a//b"), fail: "an empty name between slashes"},
		"dot":                                    {keys: keys("a/./b"), fail: "the name ."},
		"dot alone":                              {keys: keys("."), fail: "the name ."},
		"empty":                                  {keys: keys(""), fail: `object ""`},
		"NUL":                                    {keys: keys("a\x00b"), fail: "a NUL"},
		"no UTF-8":                               {keys: keys("a\xffb"), fail: "no UTF-8"},
		"the way out is said":                    {keys: keys("a//b"), fail: "rename it, or leave it out with spec.ignore or spec.prefix"},
		"a file and a folder":                    {keys: keys("a", "a/b"), fail: `object "a" cannot be part of a tree: it would be a file and also the folder of object "a/b"`},
		"a file and a folder, further down":      {keys: keys("x/a/b/c", "x/a", "x/a.b"), fail: `the folder of object "x/a/b/c"`},
		"ignored by default":                     {keys: keys("a.png", "b.yaml", ".git/config"), want: "b.yaml"},
		"ignored by the spec":                    {keys: keys("a.md", "x/b.md", "b.yaml"), spec: new("*.md"), want: "b.yaml"},
		"ignored by the file":                    {keys: keys(".sourceignore", "a.md", "b.yaml"), rules: "*.md", want: ".sourceignore b.yaml"},
		"the spec brings back":                   {keys: keys("a.md", "b.png"), rules: "*.md", spec: new("!*.md\n!*.png"), want: "a.md b.png"},
		"what is ignored may be as it likes":     {keys: keys("logs//x", "logs/../../y", "logs/.", "a"), spec: new("logs/"), want: "a"},
		"all but one folder":                     {keys: keys("/x", "a//b", "deploy/a.yaml"), spec: new("/*\n!/deploy"), want: "deploy/a.yaml"},
		"rules don't hide what they don't match": {keys: keys("logs//x"), spec: new("x/"), fail: `"logs//x"`},
		"an ignored file does not collide":       {keys: keys("a", "a/b"), spec: new("/a/"), want: "a"},
		"an ignored folder's file":               {keys: keys("x.png", "x.png/b"), want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := chosenOf(t.Context(), c.keys, c.rules, c.spec, source.DefaultLimits())
			switch {
			case c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)):
				t.Errorf("got %q, %v, want an error with %s", got, err, c.fail)
			case c.fail == "" && (err != nil || strings.Join(got, " ") != c.want):
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			// What is wrong in a bucket can be put right there: the source must not stall.
			if errors.As(err, new(*source.InvalidError)) {
				t.Errorf("nobody would look again after %v", err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	sized := listing{{Key: "a", Size: 6}, {Key: "b/c", Size: 6}, {Key: "d.png", Size: 100}}
	for name, c := range map[string]struct {
		limits source.Limits
		flag   string // that the error names; "" for none
	}{
		"none":               {source.Limits{}, ""},
		"just enough":        {source.Limits{Files: 3, TreeBytes: 12, FileBytes: 6, Depth: 2}, ""},
		"files":              {source.Limits{Files: 2}, "--max-files"},
		"bytes in all":       {source.Limits{TreeBytes: 11}, "--max-tree-size"},
		"bytes of one":       {source.Limits{FileBytes: 5}, "--max-file-size"},
		"depth":              {source.Limits{Depth: 1}, "--max-path-depth"},
		"ignored ones count": {source.Limits{Files: 2, FileBytes: 6}, "--max-files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := chosenOf(t.Context(), sized, "", nil, c.limits)
			limit, ok := errors.AsType[*source.LimitError](err)
			if c.flag == "" && err != nil || c.flag != "" && (!ok || limit.Flag != c.flag) {
				t.Errorf("got %v, want %q", err, c.flag)
			}
		})
	}
}

// An endless listing ends.
func TestEndlessListing(t *testing.T) {
	t.Parallel()
	given := 0
	_, err := list(t.Context(), endless{&given}, source.Limits{Files: 100})
	if !errors.As(err, new(*source.LimitError)) || given != 101 {
		t.Errorf("after %d objects: %v", given, err)
	}
}

type endless struct{ given *int }

func (e endless) List(_ context.Context, each func(Object) error) error {
	for {
		*e.given++
		if err := each(Object{Key: strings.Repeat("x", *e.given%1000+1)}); err != nil {
			return err
		}
	}
}

func (endless) Get(context.Context, string) (io.ReadCloser, string, error) { return nil, "", ErrGone }

func FuzzKeys(f *testing.F) {
	for _, seed := range []string{
		"a\nb/c", "../a", "/a", "a//b", "a/./b", "a/..", ".", "..", "a/", "/", "\x00", "\xff", "a\na/b", "A\na", "a/../../../etc/passwd", "\\..\\a", "a.png\na.png/b", ".sourceignore\nx/.sourceignore",
	} {
		f.Add(seed, "")
		f.Add(seed, "/*\n!/a")
	}
	f.Fuzz(func(t *testing.T, text, spec string) {
		var l listing
		for i, name := range strings.Split(text, "\n") {
			l = append(l, Object{Key: name, Size: int64(i)})
		}
		chosen, err := chosenOf(t.Context(), l, "*.md", &spec, source.DefaultLimits())
		if err != nil {
			return
		}
		files := make([]store.File, len(chosen))
		for i, name := range chosen {
			if !fs.ValidPath(name) || name == "." || strings.HasPrefix(name, "/") || slices.Contains(strings.Split(name, "/"), "..") {
				t.Fatalf("%q leaves the tree", name)
			}
			files[i] = store.File{Path: name, Mode: 0o644, Blob: store.Blob{Hash: strings.Repeat("0", 64)}}
		}
		s, err := store.Open(t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := s.Begin()
		defer b.Close()
		if _, err := b.Commit(files); err != nil {
			t.Fatalf("the store does not take %q: %v", chosen, err)
		}
	})
}
