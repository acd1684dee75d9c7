package helmrepo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"
)

// entryBytes bounds one entry of an index. Known ones have a few kilobytes.
const entryBytes = 4 << 20

// scan reads an index to its end and gives keep the versions of wanted charts, in
// the order of the index. It is YAML in block style, as Helm writes it, or JSON.
// Of the rest of it, only what is needed to find one's way is looked at. Errors
// name line and chart. An error of r is returned as it is.
func scan(r io.Reader, wanted map[string]bool, keep func(chart string, v version)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	if isJSON(in) {
		return scanJSON(in, wanted, keep)
	}
	s := &scanner{lines: lines{in: in}, wanted: wanted, keep: keep}
	for {
		line, err := s.lines.next()
		if errors.Is(err, io.EOF) {
			return s.end()
		}
		if err != nil {
			return err
		}
		if err := s.line(line); err != nil {
			return errors.Join(s.at(err), drain(in))
		}
	}
}

// isJSON tells whether the first character is that of a JSON object.
func isJSON(in *bufio.Reader) bool {
	start, _ := in.Peek(in.Size()) // what is wrong shows when it is read
	start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\ufeff")), " \t\r\n")
	return bytes.HasPrefix(start, []byte("{"))
}

// drain reads to the end, where a damaged blob shows: then that is the reason.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// lines reads lines. Of one that does not fit into the buffer it gives the start
// only, until rest is called.
type lines struct {
	in     *bufio.Reader
	number int
	more   bool   // the line goes on
	ahead  []byte // read, and not given yet
}

func (l *lines) next() ([]byte, error) {
	if len(l.ahead) > 0 {
		return l.split(l.ahead), nil
	}
	for l.more { // what is left of the line before
		_, err := l.in.ReadSlice('\n')
		l.more = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !l.more {
			return nil, err
		}
	}
	line, err := l.in.ReadSlice('\n')
	l.number++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		l.more = true
	case errors.Is(err, io.EOF) && len(line) > 0: // without a newline at its end
	case err != nil:
		return nil, err
	}
	return l.split(line), nil
}

// breaks are what else ends a line in YAML, as Helm reads and writes it. They come
// in descriptions, and what follows on the line may belong to something else.
var breaks = [][]byte{[]byte("\r"), []byte("\u0085"), []byte("\u2028"), []byte("\u2029")}

// split gives the first line of what the buffer holds of one or more.
func (l *lines) split(held []byte) []byte {
	end := len(held)
	if i := bytes.IndexByte(held, '\n'); i >= 0 {
		end = i + 1
	}
	for _, mark := range breaks {
		if i := bytes.Index(held[:end], mark); i >= 0 && string(held[i:end]) != "\r\n" && !endsText(held[i:end]) {
			end = i + len(mark)
			copy(held[i:end], "  \n"[3-len(mark):])
		}
	}
	l.ahead = held[end:]
	return held[:end]
}

// endsText tells whether there is nothing from a break on but further ones and the quote
// that ends a text: it is of that text, and not indented, unlike all else behind a break.
func endsText(from []byte) bool {
	from = bytes.Trim(from, " \t\r\n\u0085\u2028\u2029")
	return len(from) == 1 && (from[0] == '\'' || from[0] == '"')
}

// rest appends what the line has beyond its start.
func (l *lines) rest(to []byte, most int) ([]byte, error) {
	for l.more && len(l.ahead) == 0 {
		part, err := l.in.ReadSlice('\n')
		l.more = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !l.more && !errors.Is(err, io.EOF) {
			return to, err
		}
		if to = append(to, part...); len(to) > most {
			return to, errEntryTooLarge
		}
	}
	return to, nil
}

var errEntryTooLarge = fmt.Errorf("the entry has more than %d bytes", entryBytes)

// scanner finds its way through an index by the indentation of its lines.
type scanner struct {
	lines  lines
	wanted map[string]bool
	keep   func(chart string, v version)

	hasVersion bool // apiVersion was there
	top        bool // a key at the top was there
	inEntries  bool
	column     int // of the names of charts, 0 before the first
	chart      string
	want       bool // chart is wanted
	dash       int  // column of the dashes of its entries, -1 before the first
	entry      entry
}

func (s *scanner) at(err error) error {
	if s.chart != "" {
		return fmt.Errorf("line %d: chart %q: %w", s.lines.number, s.chart, err)
	}
	return fmt.Errorf("line %d: %w", s.lines.number, err)
}

func (s *scanner) line(line []byte) error {
	if s.lines.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	text := bytes.TrimLeft(line, " ")
	column := len(line) - len(text)
	text = bytes.TrimRight(text, " \t\r\n")
	switch {
	case len(text) == 0 || text[0] == '#':
		return s.entry.extend(&s.lines, line) // in a text over several lines it counts
	case text[0] == '\t' && (column <= s.column || s.inEntries && s.column == 0): // further in, it may be of a text
		return errors.New("indented with a tab: YAML wants spaces")
	case column == 0:
		return s.topLine(text)
	case !s.inEntries:
		return nil
	}
	if s.column == 0 {
		s.column = column
	}
	if column == s.column && !isDash(text) {
		return s.chartLine(text)
	}
	if column < s.column || s.chart == "" {
		return errors.New("not indented like the charts before it")
	}
	if !s.want {
		return nil
	}
	return s.entryLine(line, text, column)
}

// topLine is a line that is not indented.
func (s *scanner) topLine(text []byte) error {
	if bytes.Equal(text, []byte("...")) || bytes.HasPrefix(text, []byte("---")) && !s.top || text[0] == '%' {
		return nil
	}
	if err := s.endChart(); err != nil {
		return err
	}
	if s.top && isDash(text) && !s.inEntries {
		return nil // of a list below a key such as publicKeys
	}
	name, value, ok := cut(text)
	if !ok {
		return errors.New("this is not the index of a Helm repository: its lines at the top are keys such as apiVersion and entries")
	}
	s.top, s.inEntries = true, name == "entries"
	s.hasVersion = s.hasVersion || name == "apiVersion"
	if s.inEntries && !isEmpty(value) {
		return errors.New("entries: write one chart below the other, or all of the index in JSON")
	}
	return nil
}

// chartLine is a line with the name of a chart.
func (s *scanner) chartLine(text []byte) error {
	if err := s.endChart(); err != nil {
		return err
	}
	name, value, ok := cut(text)
	if !ok || name == "" {
		return errors.New("this should be the name of a chart and a colon")
	}
	s.chart, s.want, s.dash = name, s.wanted[name], -1
	if s.want && !isEmpty(value) {
		return errors.New("write one version below the other, or all of the index in JSON")
	}
	return nil
}

// entryLine is a line of an entry of a wanted chart.
func (s *scanner) entryLine(line, text []byte, column int) error {
	if s.dash < 0 && !isDash(text) {
		return errors.New("this should be a list of versions")
	}
	if s.dash < 0 {
		s.dash = column
	}
	if column < s.dash {
		return errors.New("not indented like the versions before it")
	}
	if column > s.dash || !isDash(text) {
		return s.entry.add(&s.lines, line, text, column)
	}
	if err := s.endEntry(); err != nil {
		return err
	}
	s.entry.begin(s.lines.number)
	inner := bytes.TrimLeft(text[1:], " ")
	if len(inner) == 0 {
		return nil
	}
	text[0] = ' ' // in line, too: without the dash, it looks like those that follow
	return s.entry.add(&s.lines, line, inner, column+len(text)-len(inner))
}

func (s *scanner) endChart() error {
	err := s.endEntry()
	if err == nil {
		s.chart, s.want = "", false
	}
	return err
}

func (s *scanner) endEntry() error {
	if s.entry.line == 0 {
		return nil
	}
	v, err := s.entry.parse()
	if err != nil {
		s.lines.number = s.entry.line
		return err
	}
	s.entry.line = 0
	s.keep(s.chart, v)
	return nil
}

// end is what is to be done at the end of the index.
func (s *scanner) end() error {
	if err := s.endChart(); err != nil {
		return s.at(err)
	}
	if !s.hasVersion {
		return errNoVersion
	}
	return nil
}

var errNoVersion = errors.New("it has no apiVersion: this is not the index of a Helm repository")

// entry collects those lines of an entry that hold something to keep.
type entry struct {
	line   int  // where it begins, 0 outside of entries
	column int  // of its keys, -1 before the first
	whole  bool // it is not in block style
	taking bool
	text   []byte
}

func (e *entry) begin(line int) { *e = entry{line: line, column: -1, text: e.text[:0]} }

// add takes a line if it is, or belongs to, a key to keep.
func (e *entry) add(l *lines, line, text []byte, column int) error {
	if e.column < 0 {
		e.column, e.whole = column, text[0] == '{'
	}
	if column <= e.column && !isDash(text) {
		name, _, ok := cut(text)
		e.taking = e.whole || !ok || kept(name) // what is no key is for the parser to refuse
	}
	return e.extend(l, line)
}

// extend takes a line if the one before it was taken.
func (e *entry) extend(l *lines, line []byte) (err error) {
	if e.line == 0 || !e.taking {
		return nil
	}
	if e.text = append(e.text, line...); len(e.text) > entryBytes {
		return errEntryTooLarge
	}
	e.text, err = l.rest(e.text, entryBytes)
	return err
}

func kept(name string) bool {
	return name == "version" || name == "digest" || name == "urls" || name == "created"
}

func (e *entry) parse() (v version, err error) {
	if err := yaml.Unmarshal(e.text, &v); err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return v, fmt.Errorf("the entry is not valid YAML: %s", strings.TrimPrefix(text, "error converting YAML to JSON: "))
	}
	return v, nil
}

// isEmpty tells whether what follows a key on its line means that nothing is in it,
// or what is in it comes below.
func isEmpty(value string) bool {
	return value == "" || value == "{}" || value == "[]" || value == "null" || value == "~"
}

// isDash tells whether a line is an item of a list.
func isDash(text []byte) bool { return text[0] == '-' && (len(text) == 1 || text[1] == ' ') }

// cut takes a line apart: its key, plain or quoted, and what follows it on the
// line but for a comment.
func cut(text []byte) (name, value string, ok bool) {
	rest := string(text)
	if q := rest[0]; q == '"' || q == '\'' {
		name, rest, _ = strings.Cut(rest[1:], string(q))
		rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), ":")
	} else if i := strings.Index(rest+" ", ": "); i >= 0 {
		name, rest, ok = strings.TrimRight(rest[:i], " "), strings.TrimPrefix(rest[i:], ":"), true
	}
	if i := strings.Index(rest, " #"); i >= 0 {
		rest = rest[:i]
	}
	return name, strings.TrimSpace(rest), ok && (rest == "" || rest[0] == ' ')
}
