package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// unknown says that there is no such setting, and which ones may be meant.
func unknown(name string) error {
	if near := Similar(name); len(near) > 0 {
		return fmt.Errorf("%s is no setting: did you mean %s?", name, strings.Join(near, " or "))
	}
	return fmt.Errorf("%s is no setting: docs/settings.md lists them, as does plumb run --help", name)
}

// Similar are up to three settings whose names are near to a name, the nearest
// first.
func Similar(name string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	for _, key := range Keys() {
		d := distance(strings.ToLower(name), strings.ToLower(key.Name))
		if last := key.Name[strings.LastIndex(key.Name, ".")+1:]; strings.EqualFold(last, name) {
			d = 1 // the name without what it is about
		}
		if d <= max(2, len(name)/5) {
			near = append(near, candidate{key.Name, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var out []string
	for _, c := range near[:min(3, len(near))] {
		out = append(out, c.name)
	}
	return out
}

// distance is how many letters have to be put in, taken out or changed (the
// Levenshtein distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := left
			if a[i] != b[j] {
				change++
			}
			left = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
