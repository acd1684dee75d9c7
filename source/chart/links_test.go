package chart_test

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/chart"
)

// linked is a tree with links.
type linked struct {
	source.MemoryTree
	links map[string]string
}

func (l linked) Stat(name string) (source.Entry, error) {
	if target, ok := l.links[name]; ok {
		return source.Entry{Name: path.Base(name), Mode: fs.ModeSymlink | 0o777, Hash: target}, nil
	}
	return l.MemoryTree.Stat(name)
}

func (l linked) Read(name string) ([]byte, error) {
	if target, ok := l.links[name]; ok {
		return []byte(target), nil
	}
	return l.MemoryTree.Read(name)
}

func (l linked) List(name string) ([]source.Entry, error) {
	entries, err := l.MemoryTree.List(name)
	for link := range l.links {
		if path.Dir(link) == name {
			e, _ := l.Stat(link)
			entries = append(entries, e)
		}
	}
	return entries, err
}

func TestLinksInAChart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ link, target, fails string }{
		"to a file of the source": {"charts/app/prod.yaml", "../../prod.yaml", ""},
		"to a folder":             {"charts/app/more", "templates", ""},
		"out of the source":       {"charts/app/passwd", "../../../etc/passwd", "leads out of the source"},
		"to the machine":          {"charts/app/passwd", "/etc/passwd", "leads out of the source"},
		"to nothing":              {"charts/app/none", "nothing", "leads to what is not there"},
		"to itself":               {"charts/app/self", "self", "or nowhere"},
		"in a circle":             {"charts/app/circle", "../app", "leads out of the source, or nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilt(t, t.TempDir(), source.DefaultLimits())
			s := &source.Snapshot{Revision: revisionA, Digest: "sha256:" + name, Tree: linked{tree(nil), map[string]string{c.link: c.target}}}
			got, _, err := b.builder.Fetch(t.Context(), chart.Spec{Chart: "charts/app", Source: s}, "")
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) || c.fails == "" && err != nil {
				t.Fatalf("error %v", err)
			}
			if c.fails == "" {
				b.files(t, got)
			}
		})
	}
}
