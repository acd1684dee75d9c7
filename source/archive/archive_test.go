package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/archive"
	"github.com/plumb-gitops/plumb/source/store"
)

// entry of an archive that a test makes.
type entry struct {
	name, content string
	kind          byte // 0 for a file
	link          string
	mode          int64
}

func packed(t testing.TB, zip bool, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(&out)
	if zip {
		w = tar.NewWriter(zipped)
	}
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: e.mode, Size: int64(len(e.content))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.kind, PAXRecords: map[string]string{"comment": e.content}}
			e.content = ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if zip {
		if err := zipped.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func opened(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// extract gives the files of an archive: path to content, or to "-> target".
func extract(t testing.TB, s *store.Store, content []byte, l source.Limits) (map[string]string, source.Tree, error) {
	t.Helper()
	b := s.Begin()
	defer b.Close()
	files, err := archive.Extract(t.Context(), b, bytes.NewReader(content), l)
	if err != nil {
		return nil, nil, err
	}
	digest, err := b.Commit(files)
	if err != nil {
		return nil, nil, err
	}
	tree, err := s.Tree(digest)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		text, err := tree.Read(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Path] = string(text)
		if f.Mode&fs.ModeSymlink != 0 {
			got[f.Path] = "-> " + got[f.Path]
		}
		if f.Mode&fs.ModeSymlink == 0 && f.Mode&0o100 != 0 {
			got[f.Path] += " (executable)"
		}
	}
	return got, tree, nil
}

var long = strings.Repeat("long/", 60) + "name"

func TestExtractUnpacks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entries []entry
		want    map[string]string
	}{
		"files in folders":             {[]entry{{name: "a/", kind: tar.TypeDir}, {name: "a/b", content: "1"}, {name: "c", content: "2", mode: 0o755}}, map[string]string{"a/b": "1", "c": "2 (executable)"}},
		"paths that begin with a dot":  {[]entry{{name: "./"}, {name: "./a", content: "1"}}[1:], map[string]string{"a": "1"}},
		"a long name":                  {[]entry{{name: long, content: "1"}}, map[string]string{long: "1"}},
		"the last of two":              {[]entry{{name: "a", content: "1"}, {name: "a", content: "2"}}, map[string]string{"a": "2"}},
		"a hard link":                  {[]entry{{name: "a", content: "1"}, {name: "b", kind: tar.TypeLink, link: "./a"}}, map[string]string{"a": "1", "b": "1"}},
		"a link beside":                {[]entry{{name: "d/a", content: "1"}, {name: "d/b", kind: tar.TypeSymlink, link: "a"}}, map[string]string{"d/a": "1", "d/b": "-> a"}},
		"a link up":                    {[]entry{{name: "d/e/b", kind: tar.TypeSymlink, link: "../../a"}}, map[string]string{"d/e/b": "-> ../../a"}},
		"names that differ by case":    {[]entry{{name: "a", content: "1"}, {name: "A", content: "2"}}, map[string]string{"a": "1", "A": "2"}},
		"the comment of git archive":   {[]entry{{kind: tar.TypeXGlobalHeader, content: "abc"}, {name: "a", content: "1"}}, map[string]string{"a": "1"}},
		"a path that returns":          {[]entry{{name: "a/../b", content: "1"}}, map[string]string{"b": "1"}},
		"folders only":                 {[]entry{{name: "a/", kind: tar.TypeDir}}, map[string]string{}},
		"nothing":                      {nil, map[string]string{}},
		"a name with a backslash":      {[]entry{{name: `a\..\b`, content: "1"}}, map[string]string{`a\..\b`: "1"}},
		"a name with a colon and more": {[]entry{{name: "a:b c", content: "1"}}, map[string]string{"a:b c": "1"}},
	} {
		for _, zip := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				got, _, err := extract(t, opened(t), packed(t, zip, c.entries...), source.DefaultLimits())
				if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
					t.Errorf("%v\n%s", err, diff)
				}
			})
		}
	}
}

func TestExtractRefusesWhatLeavesTheTree(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]entry{
		"a path upwards":               {{name: "../a", content: "1"}},
		"a path upwards further on":    {{name: "a/../../b", content: "1"}},
		"an absolute path":             {{name: "/a", content: "1"}},
		"a folder upwards":             {{name: "../", kind: tar.TypeDir}},
		"an absolute link":             {{name: "a", kind: tar.TypeSymlink, link: "/etc"}},
		"a link upwards":               {{name: "d/a", kind: tar.TypeSymlink, link: "../../b"}},
		"a link upwards over another":  {{name: "d/e/l", kind: tar.TypeSymlink, link: ".."}, {name: "x", kind: tar.TypeSymlink, link: "d/e/l/../../.."}},
		"an empty link":                {{name: "a", kind: tar.TypeSymlink}},
		"a file below a link":          {{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "a/c", content: "1"}},
		"a hard link upwards":          {{name: "a", kind: tar.TypeLink, link: "../b"}},
		"a hard link to nothing":       {{name: "a", kind: tar.TypeLink, link: "b"}},
		"a device":                     {{name: "a", kind: tar.TypeChar}},
		"a pipe":                       {{name: "a", kind: tar.TypeFifo}},
		"both a file and a folder":     {{name: "a", content: "1"}, {name: "a/b", content: "1"}},
		"a file without a name":        {{name: "./.", content: "1"}},
		"a file where the folder was":  {{name: "a/b", content: "1"}, {name: "a", content: "1"}},
		"a hard link below its target": {{name: "a", content: "1"}, {name: "a/b", kind: tar.TypeLink, link: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, _, err := extract(t, opened(t), packed(t, true, entries...), source.DefaultLimits()); !errors.As(err, new(*source.InvalidError)) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestExtractNamesTheFlagOfALimit(t *testing.T) {
	t.Parallel()
	random := make([]byte, 1000)
	for i := range random {
		random[i] = byte(i * i >> 3)
	}
	for flag, c := range map[string]struct {
		limits  source.Limits
		entries []entry
	}{
		"--max-archive-size":        {source.Limits{ArchiveBytes: 100}, []entry{{name: "a", content: string(random)}}},
		"--max-tree-size":           {source.Limits{TreeBytes: 5}, []entry{{name: "a", content: "123"}, {name: "b", content: "123"}}},
		"--max-file-size":           {source.Limits{FileBytes: 2}, []entry{{name: "a", content: "123"}}},
		"--max-files":               {source.Limits{Files: 1}, []entry{{name: "a"}, {name: "b"}}},
		"--max-path-depth":          {source.Limits{Depth: 2}, []entry{{name: "a/b/c"}}},
		"--max-decompression-ratio": {source.Limits{Ratio: 200}, []entry{{name: "a", content: strings.Repeat("a", 20<<20)}}},
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			_, _, err := extract(t, opened(t), packed(t, true, c.entries...), c.limits)
			var limit *source.LimitError
			if !errors.As(err, &limit) || limit.Flag != flag || !strings.Contains(err.Error(), flag) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHardLinksCountAsMuchAsTheirFiles(t *testing.T) {
	t.Parallel()
	entries := []entry{{name: "a", content: "1234"}, {name: "b", kind: tar.TypeLink, link: "a"}}
	_, _, err := extract(t, opened(t), packed(t, true, entries...), source.Limits{TreeBytes: 7})
	if !errors.As(err, new(*source.LimitError)) {
		t.Errorf("got %v", err)
	}
}

func TestExtractSeesDamage(t *testing.T) {
	t.Parallel()
	good := packed(t, true, entry{name: "a", content: strings.Repeat("some text ", 100)}, entry{name: "b", content: "2"})
	flipped := bytes.Clone(good)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for name, content := range map[string][]byte{
		"nothing at all": {},
		"one byte":       {0x1f},
		"cut":            good[:len(good)/2],
		"cut at the end": good[:len(good)-1],
		"a wrong sum":    flipped,
		"no archive":     []byte(strings.Repeat("this is no archive ", 100)),
		"more behind it": append(bytes.Clone(good), "rubbish"...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, _, err := extract(t, opened(t), content, source.DefaultLimits()); err == nil {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestATreeSurvivesTheRoundTrip(t *testing.T) {
	t.Parallel()
	s := opened(t)
	first, tree, err := extract(t, s, packed(t, true,
		entry{name: "z", content: "1"}, entry{name: "d/run", content: "2", mode: 0o755},
		entry{name: "d/link", kind: tar.TypeSymlink, link: "../z"}, entry{name: long, content: "3"}), source.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := errors.Join(archive.WriteTarGz(&one, tree), archive.WriteTarGz(&two, tree)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two archives of one tree differ")
	}
	again, _, err := extract(t, s, one.Bytes(), source.DefaultLimits())
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// FuzzExtract looks for an archive that leaves the tree, or brings more than it may.
func FuzzExtract(f *testing.F) {
	f.Add(packed(f, true, entry{name: "a/b", content: "1"}, entry{name: "l", kind: tar.TypeSymlink, link: "a"}))
	f.Add(packed(f, false, entry{name: "../a", content: "1"}, entry{name: "h", kind: tar.TypeLink, link: "a"}))
	f.Add(packed(f, false, entry{kind: tar.TypeXGlobalHeader, content: "abc"}, entry{name: long, content: "1"}))
	f.Add([]byte{0x1f, 0x8b})
	limits := source.Limits{ArchiveBytes: 1 << 20, TreeBytes: 1 << 16, FileBytes: 1 << 15, Files: 100, Depth: 70, Ratio: 50}
	s := opened(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		b := s.Begin()
		defer b.Close()
		files, err := archive.Extract(t.Context(), b, bytes.NewReader(content), limits)
		if err != nil {
			return
		}
		var size int64
		for _, file := range files {
			size += file.Size
			if !fs.ValidPath(file.Path) || file.Path == "." {
				t.Errorf("path %q", file.Path)
			}
			if file.Mode&fs.ModeSymlink != 0 && !fs.ValidPath(path.Join(path.Dir(file.Path), file.Target)) {
				t.Errorf("%q links to %q", file.Path, file.Target)
			}
		}
		if size > limits.TreeBytes || int64(len(files)) > limits.Files {
			t.Errorf("%d bytes in %d files", size, len(files))
		}
		if !slices.IsSortedFunc(files, func(a, b store.File) int { return strings.Compare(a.Path, b.Path) }) {
			t.Error("not in order")
		}
	})
}

// FuzzRoundTrip looks for names and content that an archive of ours changes.
func FuzzRoundTrip(f *testing.F) {
	f.Add("a/b", "content", "c")
	f.Add(long, "", "ü\n")
	s := opened(f)
	f.Fuzz(func(t *testing.T, one, content, two string) {
		if !fs.ValidPath(one) || !fs.ValidPath(two) || one == "." || two == "." || strings.ContainsRune(one+two, 0) {
			return
		}
		want := map[string]string{one: content, two: content + "2"}
		for name := range maps.Keys(want) {
			for other := range want {
				if strings.HasPrefix(name, other+"/") {
					return
				}
			}
		}
		var out bytes.Buffer
		if err := archive.WriteTarGz(&out, source.MemoryTree(want)); err != nil {
			t.Fatal(err)
		}
		got, _, err := extract(t, s, out.Bytes(), source.DefaultLimits())
		if strings.Count(one, "/") >= 64 || strings.Count(two, "/") >= 64 {
			return
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}
