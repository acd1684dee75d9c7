package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/engine"
)

// summary is what a one-shot run did, for people and for programs.
type summary struct {
	Result  string         `json:"result"` // ready, failed, timeout or interrupted
	Counts  map[string]int `json:"counts"` // objects by what was done to them
	Objects []report       `json:"objects"`
}

// report is one source or Kustomization of a summary.
type report struct {
	ID       string   `json:"id"`
	State    string   `json:"state"`
	Reason   string   `json:"reason,omitempty"`
	Message  string   `json:"message,omitempty"`
	Revision string   `json:"revision,omitempty"`
	Source   string   `json:"source,omitempty"`
	Changes  []change `json:"changes,omitempty"`
	// Unchanged is how many of its objects were as they should be.
	Unchanged int `json:"unchanged"`
	// LeftOut is what a dry run did not look at, and why.
	LeftOut string `json:"leftOut,omitempty"`
}

// change is one object that was written, deleted, left or refused.
type change struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Detail string `json:"detail,omitempty"`
	// Hook tells that it is a hook of a release, which a dry run would run.
	Hook bool `json:"hook,omitempty"`
	// Fields are told by a dry run.
	Fields []drift.Difference `json:"fields,omitempty"`
}

func summarise(t *tracker, result string) summary {
	s := summary{Result: result, Counts: map[string]int{}}
	for _, o := range t.sorted() {
		r := report{
			ID: o.id, State: string(t.state(o.id)), Reason: o.last.Outcome.Reason, Message: o.last.Outcome.Message,
			Revision: o.last.Outcome.Revision, Source: o.last.Source,
			Changes: changesOf(o.actions),
		}
		written := 0
		for _, c := range r.Changes {
			if c.Hook {
				continue // no object of the release
			}
			s.Counts[c.Action]++
			if c.Action != "deleted" && c.Action != "skipped" {
				written++
			}
		}
		r.Unchanged = max(0, o.last.Objects-written)
		s.Counts["unchanged"] += r.Unchanged
		s.Objects = append(s.Objects, r)
	}
	return s
}

// changesOf keeps for each object what happened to it last: one that failed and
// then was applied is applied.
func changesOf(actions []engine.Action) []change {
	last := map[string]change{}
	for _, a := range actions {
		c := change{ID: a.Key.String(), Action: a.Verb, Detail: a.Detail, Fields: a.Fields, Hook: a.Verb == engine.RunHook}
		if c.Hook {
			last["hook "+c.ID+" "+c.Detail] = c
		} else {
			last[c.ID] = c
		}
	}
	out := make([]change, 0, len(last))
	for _, c := range last {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b change) int { return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Detail, b.Detail)) })
	return out
}

// writeTree prints sources with the Kustomizations that build from them.
func (s summary) writeTree(w io.Writer) error {
	var b strings.Builder
	for _, source := range s.Objects {
		if source.Source != "" {
			continue
		}
		fmt.Fprintf(&b, "%s  %s\n", source.ID, headline(source))
		if source.LeftOut != "" {
			fmt.Fprintf(&b, "└── left out: %s\n", source.LeftOut)
		}
		users := s.usersOf(source.ID)
		for i, unit := range users {
			unit.tree(&b, i == len(users)-1)
		}
	}
	strays := s.strays()
	for i, unit := range strays {
		if i == 0 || strays[i-1].Source != unit.Source {
			fmt.Fprintf(&b, "%s  (no such source)\n", unit.Source)
		}
		unit.tree(&b, i == len(strays)-1 || strays[i+1].Source != unit.Source)
	}
	fmt.Fprintf(&b, "\n%s: %s\n", s.Result, s.totals())
	_, err := io.WriteString(w, b.String())
	return err
}

func (s summary) usersOf(source string) []report {
	return slices.DeleteFunc(slices.Clone(s.Objects), func(r report) bool { return r.Source != source })
}

// strays are the Kustomizations whose source there is none of.
func (s summary) strays() []report {
	known := map[string]bool{"": true}
	for _, r := range s.Objects {
		known[r.ID] = true
	}
	out := slices.DeleteFunc(slices.Clone(s.Objects), func(r report) bool { return known[r.Source] })
	slices.SortStableFunc(out, func(a, b report) int { return strings.Compare(a.Source, b.Source) })
	return out
}

func (r report) tree(b *strings.Builder, last bool) {
	branch, below := "├── ", "│   "
	if last {
		branch, below = "└── ", "    "
	}
	fmt.Fprintf(b, "%s%s  %s\n", branch, r.ID, headline(r))
	lines := make([]string, 0, len(r.Changes)+1)
	for _, c := range r.Changes {
		line := c.ID + " " + c.Action
		if c.Hook {
			line = "hook " + line
		}
		if c.Detail != "" {
			line += ": " + c.Detail
		}
		lines = append(lines, line)
	}
	if r.LeftOut != "" {
		lines = append(lines, "left out: "+r.LeftOut)
	}
	if r.Unchanged > 0 {
		lines = append(lines, fmt.Sprintf("%d unchanged", r.Unchanged))
	}
	for i, line := range lines {
		twig := "├── "
		if i == len(lines)-1 {
			twig = "└── "
		}
		b.WriteString(below + twig + strings.ReplaceAll(line, "\n", "\n"+below+"    ") + "\n")
	}
}

func headline(r report) string {
	if r.State == string(ready) {
		return r.State + "  " + r.Revision
	}
	if r.Message == "" {
		return r.State
	}
	return fmt.Sprintf("%s  %s: %s", r.State, r.Reason, r.Message)
}

func (s summary) totals() string {
	words := []string{"created", "configured", "recreated", "unchanged", "deleted", "drifted", "skipped", "failed"}
	parts := make([]string, 0, len(words))
	for _, word := range words {
		if n := s.Counts[word]; n > 0 || word == "created" || word == "failed" {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	return strings.Join(parts, ", ")
}
