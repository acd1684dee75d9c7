// Package charts keeps Helm charts in memory: each is parsed once, by its digest,
// and shared by all releases that are made of it.
package charts

import (
	"container/list"
	"fmt"
	"io"
	"maps"
	"sync"
	"weak"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// Chart is a parsed chart. It is shared, so nobody changes it: Copy is for the SDK.
type Chart struct {
	Digest string
	Bytes  int64 // about what it takes in memory
	parsed *chart.Chart
}

// Cache keeps parsed charts: the last ones used as long as they fit, and others for as
// long as somebody has them. It is safe for concurrent use.
type Cache struct {
	limit int64

	mu     sync.Mutex
	bytes  int64
	recent *list.List // of *Chart, the last used first
	at     map[string]*list.Element
	others map[string]weak.Pointer[Chart]
	under  map[string]*loading
}

type loading struct {
	done  chan struct{}
	chart *Chart
	err   error
}

// New makes a cache that keeps so many bytes of charts that nobody uses at the time.
func New(limit int64) *Cache {
	return &Cache{limit: limit, recent: list.New(), at: map[string]*list.Element{}, others: map[string]weak.Pointer[Chart]{}, under: map[string]*loading{}}
}

// Load gives the chart of a digest. open opens its archive, and is called by one of
// all that ask at once, if the chart is not in memory.
func (c *Cache) Load(digest string, open func() (io.ReadCloser, error)) (*Chart, error) {
	c.mu.Lock()
	if found := c.foundLocked(digest); found != nil {
		c.mu.Unlock()
		return found, nil
	}
	if l, ok := c.under[digest]; ok {
		c.mu.Unlock()
		<-l.done
		return l.chart, l.err
	}
	l := &loading{done: make(chan struct{})}
	c.under[digest] = l
	c.mu.Unlock()
	l.chart, l.err = parse(digest, open)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.under, digest)
	if l.err == nil {
		c.keepLocked(l.chart)
	}
	close(l.done)
	return l.chart, l.err
}

func (c *Cache) foundLocked(digest string) *Chart {
	if element, ok := c.at[digest]; ok {
		c.recent.MoveToFront(element)
		return element.Value.(*Chart)
	}
	if found := c.others[digest].Value(); found != nil {
		c.keepLocked(found)
		return found
	}
	return nil
}

// keepLocked puts a chart first; the ones that were not used for longest make room,
// and stay known for as long as somebody has them.
func (c *Cache) keepLocked(ch *Chart) {
	delete(c.others, ch.Digest)
	c.at[ch.Digest] = c.recent.PushFront(ch)
	c.bytes += ch.Bytes
	for c.bytes > c.limit {
		last := c.recent.Back()
		old := c.recent.Remove(last).(*Chart)
		delete(c.at, old.Digest)
		c.bytes -= old.Bytes
		c.others[old.Digest] = weak.Make(old)
	}
	maps.DeleteFunc(c.others, func(_ string, p weak.Pointer[Chart]) bool { return p.Value() == nil })
}

// Bytes is how much is kept.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

func parse(digest string, open func() (io.ReadCloser, error)) (*Chart, error) {
	archive, err := open()
	if err != nil {
		return nil, err
	}
	defer archive.Close() //nolint:errcheck // it is read only
	parsed, err := loader.LoadArchive(archive)
	if err != nil {
		return nil, fmt.Errorf("chart %s cannot be read: %w", digest, err)
	}
	strip(parsed)
	return &Chart{Digest: digest, Bytes: size(parsed), parsed: parsed}, nil
}

// strip forgets the files as they came, which only packing would need.
func strip(ch *chart.Chart) {
	ch.Raw = nil
	for _, dependency := range ch.Dependencies() {
		strip(dependency)
	}
}

// overhead is about what one file or dependency takes beside its content.
const overhead = 512

func size(ch *chart.Chart) int64 {
	n := int64(overhead + len(ch.Schema))
	for _, files := range [][]*chart.File{ch.Templates, ch.Files} {
		for _, file := range files {
			n += int64(overhead + len(file.Name) + len(file.Data))
		}
	}
	for _, dependency := range ch.Dependencies() {
		n += size(dependency)
	}
	return n
}

// renders is how many times its size all that is allocated takes when a chart is
// rendered of nothing but actions, as if nothing were collected meanwhile; measured,
// and held, by TestEstimate. Real charts take less; more of them than fit only wait.
const renders = 48

// Estimate is about how many bytes an action on a release of the chart needs at its
// highest, with so many bytes of values.
func (ch *Chart) Estimate(values int) int64 { return ch.Bytes*renders + int64(values)*4 + 1<<20 }

// Metadata is what the chart says of itself. It is not to be changed.
func (ch *Chart) Metadata() *chart.Metadata { return ch.parsed.Metadata }

// Definitions are the files of the folders crds, of the chart and of those that it
// depends on. They are not to be changed.
func (ch *Chart) Definitions() (files [][]byte) {
	for _, crd := range ch.parsed.CRDObjects() {
		files = append(files, crd.File.Data)
	}
	return files
}

// Copy is the chart for one action of the SDK, which changes which dependencies it
// has, and their values. Files are shared.
func (ch *Chart) Copy() *chart.Chart { return copied(ch.parsed) }

func copied(from *chart.Chart) *chart.Chart {
	out := &chart.Chart{
		Lock: from.Lock, Templates: from.Templates, Files: from.Files, Schema: from.Schema,
		Values: values(from.Values).(map[string]any),
	}
	if from.Metadata != nil {
		metadata := *from.Metadata
		metadata.Dependencies = make([]*chart.Dependency, len(from.Metadata.Dependencies))
		for i, dependency := range from.Metadata.Dependencies {
			one := *dependency
			metadata.Dependencies[i] = &one
		}
		out.Metadata = &metadata
	}
	for _, dependency := range from.Dependencies() {
		out.AddDependency(copied(dependency))
	}
	return out
}

func values(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = values(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = values(value)
		}
		return out
	default:
		return v
	}
}
