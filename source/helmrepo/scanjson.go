package helmrepo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// scanJSON is scan for an index in JSON.
func scanJSON(r io.Reader, wanted map[string]bool, keep func(chart string, v version)) error {
	in := &window{r: r}
	s := &jsonScanner{in: in, d: json.NewDecoder(in), wanted: wanted, keep: keep}
	err := s.object(s.key)
	if in.err != nil {
		return in.err
	}
	if err != nil {
		return errors.Join(s.at(err), drain(r))
	}
	if !s.hasVersion {
		return errors.Join(errNoVersion, drain(r))
	}
	return drain(r)
}

type jsonScanner struct {
	in         *window
	d          *json.Decoder
	wanted     map[string]bool
	keep       func(chart string, v version)
	hasVersion bool
	chart      string
}

func (s *jsonScanner) at(err error) error {
	if s.chart != "" {
		return fmt.Errorf("line %d: chart %q: %w", s.in.line(s.d.InputOffset()), s.chart, err)
	}
	return fmt.Errorf("line %d: %w", s.in.line(s.d.InputOffset()), err)
}

// key handles a key at the top.
func (s *jsonScanner) key(name string) error {
	s.hasVersion = s.hasVersion || name == "apiVersion"
	if name != "entries" {
		return s.skip()
	}
	err := s.object(s.entries)
	if err == nil {
		s.chart = ""
	}
	return err
}

// entries handles a chart.
func (s *jsonScanner) entries(chart string) error {
	s.chart = chart
	start, err := s.token()
	if err != nil || start == nil {
		return err
	}
	if start != json.Delim('[') {
		return errors.New("this should be a list of versions")
	}
	for s.d.More() {
		if !s.wanted[chart] {
			if err := s.skip(); err != nil {
				return err
			}
			continue
		}
		var v version
		if err := s.value(&v); err != nil {
			return err
		}
		s.keep(chart, v)
	}
	_, err = s.token()
	return err
}

// object hands each key of an object to do, which reads the value.
func (s *jsonScanner) object(do func(key string) error) error {
	start, err := s.token()
	if err != nil || start == nil {
		return err
	}
	if start != json.Delim('{') {
		return errors.New("this should be an object")
	}
	for s.d.More() {
		key, err := s.token()
		if err != nil {
			return err
		}
		if err := do(key.(string)); err != nil { // the decoder lets nothing else be a key
			return err
		}
	}
	_, err = s.token()
	return err
}

func (s *jsonScanner) token() (json.Token, error) {
	s.in.allow(s.d.InputOffset())
	t, err := s.d.Token()
	return t, plain(err)
}

func (s *jsonScanner) value(into any) error {
	s.in.allow(s.d.InputOffset())
	return plain(s.d.Decode(into))
}

func (s *jsonScanner) skip() error { return s.value(&ignored{}) }

// plain is an error of the decoder without its type.
func plain(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the JSON ends too early")
	}
	return err
}

// ignored is a value that nobody needs.
type ignored struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (*ignored) UnmarshalJSON([]byte) error { return nil }

// window lets the decoder read on as far as one entry may reach, since it keeps all
// of a value in memory. It counts lines on the way.
type window struct {
	r     io.Reader
	err   error // of r
	read  int64
	most  int64
	lines int
	last  []byte // what was read last, with lines before it
}

func (w *window) allow(offset int64) { w.most = offset + entryBytes }

// Read implements io.Reader.
func (w *window) Read(p []byte) (int, error) {
	if w.read >= w.most {
		return 0, errEntryTooLarge
	}
	n, err := w.r.Read(p)
	w.lines += bytes.Count(w.last, []byte{'\n'})
	w.last = append(w.last[:0], p[:n]...)
	w.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// line is the number of the line at an offset, or of the first that is known.
func (w *window) line(offset int64) int {
	inLast := min(max(offset-(w.read-int64(len(w.last))), 0), int64(len(w.last)))
	return 1 + w.lines + bytes.Count(w.last[:inLast], []byte{'\n'})
}
