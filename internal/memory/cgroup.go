// Package memory keeps the process within the memory that it was given.
//
// A cgroup tells how much that is and how much is in use. Heavy work is admitted by
// its estimated bytes (Gate). A Watch has the garbage collector work harder near the
// limit, holds heavy work back at a soft mark, and at the threshold ends: then the
// process stops its actions cleanly and is started anew, instead of being killed in
// the middle of one.
package memory

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Group is the cgroup that bounds the process.
type Group struct {
	Limit int64 // bytes

	dir   string
	usage string // file of what is in use
	cache string // what of it the kernel takes back by itself: a line of memory.stat
}

// hierarchy is how one version of cgroups names its files
// (https://docs.kernel.org/admin-guide/cgroup-v2.html, cgroup-v1/memory.html).
type hierarchy struct {
	controller          string // in /proc/self/cgroup
	mount               string
	limit, usage, cache string
}

var hierarchies = []hierarchy{
	{"", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
	{"memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
}

// unlimited is more than any machine has; version 1 says "no limit" by such a number.
const unlimited = math.MaxInt64 / 2

// ErrUnlimited says that nothing bounds the process.
var ErrUnlimited = errors.New("no cgroup limits the memory of this process")

// Find finds the cgroup of this process that has the smallest limit; root is "/", or
// a folder of recorded files. The error is ErrUnlimited when there is none.
func Find(root string) (Group, error) {
	raw, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return Group{}, fmt.Errorf("%w: %w", ErrUnlimited, err)
	}
	found := Group{Limit: unlimited}
	for line := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, h := range hierarchies {
			if parts[1] != h.controller {
				continue
			}
			if g := h.smallest(root, parts[2]); g.Limit < found.Limit {
				found = g
			}
		}
	}
	if found.Limit >= unlimited {
		return Group{}, ErrUnlimited
	}
	return found, nil
}

// smallest looks at a cgroup and those above it. In a container the path may be that
// of the host, of which only the end of the way, the mount itself, can be seen.
func (h hierarchy) smallest(root, at string) Group {
	found := Group{Limit: unlimited}
	for at = path.Clean("/" + at); ; at = path.Dir(at) {
		dir := filepath.Join(root, h.mount, at)
		if limit, err := number(filepath.Join(dir, h.limit)); err == nil && limit < found.Limit {
			found = Group{Limit: limit, dir: dir, usage: h.usage, cache: h.cache}
		}
		if at == "/" {
			return found
		}
	}
}

// number reads a file with one number; "max" is unlimited.
func number(file string) (int64, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(raw))
	if text == "max" {
		return unlimited, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number of bytes", file, text)
	}
	return n, nil
}

// Usage is how many bytes are in use that cannot be taken back: without the cache of
// files that nobody has open, of which the kernel frees what it needs before it kills.
func (g Group) Usage() (int64, error) {
	used, err := number(filepath.Join(g.dir, g.usage))
	if err != nil {
		return 0, err
	}
	raw, err := os.ReadFile(filepath.Join(g.dir, "memory.stat"))
	if err != nil {
		return used, nil // then all of it counts
	}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseInt(value, 10, 64); name == g.cache && err == nil {
			used -= n
		}
	}
	return max(used, 0), nil
}
