package drift

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Report is what was found of one object at one time.
type Report struct {
	Kind      string       `json:"kind"`   // of the unit: Kustomization or HelmRelease
	Unit      string       `json:"unit"`   // namespace/name of it
	Object    string       `json:"object"` // Kind/namespace/name
	Time      time.Time    `json:"time"`
	Corrected bool         `json:"corrected"` // put back; else only reported
	Fields    []Difference `json:"fields"`
}

// size is about how many bytes the report takes in memory.
func (r Report) size() int {
	n := 160 + len(r.Kind) + len(r.Unit) + len(r.Object)
	for _, f := range r.Fields {
		n += 64 + len(f.Path) + len(f.Manager) + len(f.Before) + len(f.After)
	}
	return n
}

// Log keeps the last reports, as many as fit. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	limit   int
	bytes   int
	reports []Report // oldest first
}

// NewLog makes a log of at most limit bytes.
func NewLog(limit int) *Log { return &Log{limit: limit} }

// Add adds a report; the oldest ones make room. Of a report that is larger than
// the whole log, the fields at its end are left out. Drift that is only reported,
// and found again as it was, is one report. It tells whether the report is news.
func (l *Log) Add(r Report) (news bool) {
	r.Fields = slices.Clone(r.Fields)
	for r.size() > l.limit && len(r.Fields) > 0 {
		r.Fields = r.Fields[:len(r.Fields)-1]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.Corrected && l.repeatsLocked(r) {
		return false
	}
	l.reports = append(l.reports, r)
	l.bytes += r.size()
	first := 0
	for ; l.bytes > l.limit && first < len(l.reports); first++ {
		l.bytes -= l.reports[first].size()
	}
	l.reports = slices.Delete(l.reports, 0, first)
	return true
}

// repeatsLocked tells whether the last report of the object said the same.
func (l *Log) repeatsLocked(r Report) bool {
	for _, last := range slices.Backward(l.reports) {
		if last.Kind == r.Kind && last.Unit == r.Unit && last.Object == r.Object {
			return !last.Corrected && slices.Equal(last.Fields, r.Fields)
		}
	}
	return false
}

// Reports are the reports of a unit, newest first; "" stands for all units.
func (l *Log) Reports(unit string) []Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Report
	for _, r := range slices.Backward(l.reports) {
		if unit == "" || r.Unit == unit {
			r.Fields = slices.Clone(r.Fields)
			out = append(out, r)
		}
	}
	return out
}

// Fight is a field that keeps being changed and put back.
type Fight struct {
	Kind    string `json:"kind"`
	Unit    string `json:"unit"`
	Object  string `json:"object"`
	Path    string `json:"path"`
	Manager string `json:"manager"`
	Times   int    `json:"times"`
}

// Fights are the fields that one manager has changed at least so many times in
// what the log holds: candidates for spec.ignore. They are sorted.
func (l *Log) Fights(times int) []Fight {
	counted := map[Fight]int{}
	for _, r := range l.Reports("") {
		for _, f := range r.Fields {
			counted[Fight{Kind: r.Kind, Unit: r.Unit, Object: r.Object, Path: f.Path, Manager: f.Manager}]++
		}
	}
	var out []Fight
	for fight, n := range counted {
		if n >= times {
			fight.Times = n
			out = append(out, fight)
		}
	}
	slices.SortFunc(out, compareFights)
	return out
}

func compareFights(a, b Fight) int {
	return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Manager, b.Manager))
}
