package helmrepo

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/plumb-gitops/plumb/source"
)

// version is what is kept of an entry of an index.
type version struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"` // SHA-256 of the archive, hex; "" when the index has none
	URLs    []string `json:"urls"`   // relative to the repository's URL
	Created created  `json:"created"`
}

// created is a time that may be missing or not be one: it only breaks ties.
type created struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler. It takes anything.
func (c *created) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		c.Time, _ = time.Parse(time.RFC3339Nano, text) // zero if it is none
	}
	return nil
}

// choose is the version that a range means, by the rules of the toolkit: one that
// is written the same as the range; else the highest one within it, prereleases
// only where the range has one; of equal versions the one created last. "" means
// "*". What is no semantic version does not count.
func choose(all []version, expression string) (version, error) {
	if expression == "" {
		expression = "*"
	}
	if i := slices.IndexFunc(all, func(v version) bool { return v.Version == expression }); i >= 0 {
		return all[i], nil
	}
	within, err := semver.NewConstraint(expression)
	if err != nil {
		return version{}, invalid("version range %q: %w", expression, err)
	}
	best, highest := -1, (*semver.Version)(nil)
	for i, v := range all {
		parsed, err := semver.NewVersion(v.Version)
		if err != nil || !within.Check(parsed) {
			continue
		}
		if best < 0 || parsed.GreaterThan(highest) || parsed.Equal(highest) && v.Created.After(all[best].Created.Time) {
			best, highest = i, parsed
		}
	}
	if best < 0 {
		return version{}, &source.NotFoundError{Err: fmt.Errorf("none of its %d versions is within %q", len(all), expression)}
	}
	return all[best], nil
}
