// Package logline reads the lines that an engine logs: JSON, or the text form of
// `plumb run --log-format text`. It parses, selects and prints them, and touches
// nothing.
package logline

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Line is one line of a log.
type Line struct {
	Time      time.Time
	Level     slog.Level
	Message   string
	Kind      string // of the object that it is about, "" for none
	Namespace string
	Name      string
	Rest      []Field // what else it says, in its order

	raw string
}

// Field is a value with its name.
type Field struct {
	Name  string
	Value any // as JSON has it
}

// Parse reads a line. ok is false when it is none of an engine, such as a line of a
// stack trace; then only the text is known.
func Parse(text string) (line Line, ok bool) {
	line.raw = strings.TrimRight(text, "\r\n")
	fields, ok := parseJSON(line.raw)
	if !ok {
		fields, ok = parseText(line.raw)
	}
	for _, f := range fields {
		line.take(f)
	}
	return line, ok && line.Message != "" && !line.Time.IsZero()
}

// parseJSON reads an object, its fields in order.
func parseJSON(text string) ([]Field, bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	var out []Field
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, false
		}
		out = append(out, Field{fmt.Sprint(name), value})
	}
	_, err := decoder.Token()
	return out, err == nil
}

// parseText reads name=value..., where a value with spaces is quoted as in Go.
func parseText(text string) ([]Field, bool) {
	var out []Field
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " ") {
		name, rest, found := cutWord(text, '=')
		if !found {
			return nil, false
		}
		value, after, _ := cutWord(rest, ' ')
		out = append(out, Field{name, value})
		text = after
	}
	return out, len(out) > 0
}

// cutWord cuts a word, which may be quoted, and the separator behind it.
func cutWord(text string, separator byte) (word, rest string, found bool) {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		word, err := strconv.Unquote(quoted)
		rest, found = strings.CutPrefix(text[len(quoted):], string(separator))
		return word, rest, err == nil && found
	}
	return strings.Cut(text, string(separator))
}

// take puts a field where it belongs.
func (l *Line) take(f Field) {
	text, isText := f.Value.(string)
	switch {
	case f.Name == slog.TimeKey && isText:
		l.Time, _ = time.Parse(time.RFC3339Nano, text) // a line without a time is none of an engine
	case f.Name == slog.LevelKey && isText:
		_ = l.Level.UnmarshalText([]byte(text)) // one that is none is taken for info
	case f.Name == slog.MessageKey && isText:
		l.Message = text
	case f.Name == "kind" && isText, f.Name == "controllerKind" && isText:
		l.Kind = text
	case f.Name == "namespace" && isText:
		l.Namespace = text
	case f.Name == "name" && isText:
		l.Name = text
	default:
		l.Rest = append(l.Rest, f)
	}
}

// Filter tells which lines are wanted. The zero Filter wants all.
type Filter struct {
	Kinds     []string // about objects of these kinds
	Objects   []string // about these, Kind/name
	Namespace string   // about objects there
	Level     string   // debug, info, warn or error, and all above; "" for any
	Since     time.Time
}

// Levels are the names of levels, the lowest first.
var Levels = []string{"debug", "info", "warn", "error"}

// selects tells whether the filter leaves out anything but what is too old.
func (f Filter) selects() bool {
	return len(f.Kinds) > 0 || len(f.Objects) > 0 || f.Namespace != "" || f.Level != ""
}

// Wants tells whether a line, as Parse has it, is wanted. What is no line of an engine
// is wanted where all are.
func (f Filter) Wants(l Line, parsed bool) bool {
	if !parsed {
		return !f.selects()
	}
	level := slog.LevelDebug - 100
	if f.Level != "" {
		_ = level.UnmarshalText([]byte(f.Level)) // whoever sets it has compared it with Levels
	}
	about := len(f.Kinds) == 0 && len(f.Objects) == 0 || slices.Contains(f.Kinds, l.Kind) || slices.Contains(f.Objects, l.Kind+"/"+l.Name)
	return about && l.Level >= level && (f.Namespace == "" || f.Namespace == l.Namespace) && !l.Time.Before(f.Since)
}

// Text is a line for people. One that is none of an engine stays as it is.
func (l Line) Text(parsed bool) string {
	if !parsed {
		return l.raw
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-5s", l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), l.Level)
	if l.Name != "" {
		parts := []string{cmp.Or(l.Kind, "object"), l.Namespace, l.Name}
		fmt.Fprintf(&b, " %s:", strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "/"))
	}
	fmt.Fprintf(&b, " %s", strings.ReplaceAll(l.Message, "\n", "; "))
	for _, f := range l.Rest {
		if text := textOf(f.Value); text != "" {
			fmt.Fprintf(&b, " %s=%s", textOf(f.Name), text)
		}
	}
	return b.String()
}

// textOf is a value as it stands in a line, in quotes where it has to be.
func textOf(value any) string {
	text, isText := value.(string)
	if !isText {
		raw, err := encode(value)
		if err != nil {
			return ""
		}
		return string(raw)
	}
	if strings.ContainsAny(text, " \t\n\"=") {
		return strconv.Quote(text)
	}
	return text
}

// JSON is a line for programs, in the form that an engine logs by default. One that is
// none of an engine becomes a message alone.
func (l Line) JSON(parsed bool) (string, error) {
	if strings.HasPrefix(l.raw, "{") && parsed {
		return l.raw, nil
	}
	fields := []Field{{slog.MessageKey, l.raw}}
	if parsed {
		fields, _ = parseText(l.raw) // it was parsed before
	}
	var b bytes.Buffer
	for i, f := range fields {
		b.WriteByte("{,"[min(i, 1)])
		name, err := encode(f.Name)
		if err != nil {
			return "", err
		}
		value, err := encode(f.Value)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s:%s", name, value)
	}
	b.WriteByte('}')
	return b.String(), nil
}

// encode is a value as JSON, with < and > as they are.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(b.Bytes()), err
}
