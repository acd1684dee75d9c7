package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// requests are counts by verb, by who sent them.
type requests map[string]map[string]int

// total is the requests of one client.
func (r requests) total(agent string) (n int) {
	for _, count := range r[agent] {
		n += count
	}
	return n
}

func (l *lab) auditLog() string { return filepath.Join(l.dir, "audit.log") }

// mark is the end of the audit log now.
func (l *lab) mark() (int64, error) {
	info, err := os.Stat(l.auditLog())
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// entry is a line of the audit log.
type entry struct {
	Stage, RequestURI, Verb, UserAgent string
	ObjectRef                          struct{ Resource, Subresource string }
}

// since counts the requests that ended since a mark, and returns the new end.
// Watches are counted when they begin.
func (l *lab) since(mark int64) (requests, int64, error) {
	file, err := os.Open(l.auditLog())
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	if _, err := file.Seek(mark, io.SeekStart); err != nil {
		return nil, 0, err
	}
	out := requests{}
	for lines := bufio.NewReaderSize(file, 1<<16); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return out, mark, nil // the last line may not be whole yet
		}
		mark += int64(len(line))
		var e entry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return nil, 0, err
		}
		if ends := e.Stage == "ResponseComplete"; ends == (e.Verb == "watch") {
			continue
		}
		agent, _, _ := strings.Cut(e.UserAgent, "/")
		if out[agent] == nil {
			out[agent] = map[string]int{}
		}
		out[agent][e.kind()]++
	}
}

// kind is a verb with what it is about, as far as that sets costs apart.
func (e entry) kind() string {
	switch {
	case strings.Contains(e.RequestURI, "dryRun="):
		return e.Verb + " dry run"
	case e.ObjectRef.Resource == "events":
		return e.Verb + " event"
	case e.ObjectRef.Subresource == "status":
		return e.Verb + " status"
	case e.ObjectRef.Resource == "":
		return e.Verb + " other"
	}
	return e.Verb
}
