package oci

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// version is an artifact and what led to it.
type version struct {
	tag    string // "" when the spec names the digest
	digest v1.Hash
}

// revision is how the toolkit writes it: "latest@sha256:…" or "sha256:…".
func (v version) revision() string {
	if v.tag == "" {
		return v.digest.String()
	}
	return v.tag + "@" + v.digest.String()
}

// parseRevision reads a revision back. A text that is none names nothing that
// was fetched.
func parseRevision(revision string) (version, error) {
	var v version
	digest := revision
	if tag, rest, ok := strings.Cut(revision, "@"); ok {
		v.tag, digest = tag, rest
	}
	hash, err := parseDigest(digest)
	if err != nil {
		return version{}, fmt.Errorf("revision %q: %w", revision, fs.ErrNotExist)
	}
	v.digest = hash
	return v, nil
}

// parseDigest accepts sha256 only: that is how the store names things.
func parseDigest(text string) (v1.Hash, error) {
	hash, err := v1.NewHash(text)
	if err != nil || hash.Algorithm != "sha256" {
		return v1.Hash{}, invalid("digest %q: write it as sha256: and 64 hexadecimal digits", text)
	}
	return hash, nil
}

// highest is the tag with the highest version in a range. Tags that are no
// versions don't count; of equal versions, such as v1.0.0 and 1.0.0, the one that
// is last by its text is taken, so that the order of the list does not matter.
func highest(tags []string, expression, filter string) (string, error) {
	within, err := semver.NewConstraint(expression)
	if err != nil {
		return "", invalid("semver range %q: %w", expression, err)
	}
	pattern, err := regexp.Compile(filter)
	if err != nil {
		return "", invalid("semverFilter: %w", err)
	}
	var best *semver.Version
	for _, tag := range tags {
		if !pattern.MatchString(tag) {
			continue
		}
		v, err := semver.NewVersion(tag)
		if err != nil || !within.Check(v) {
			continue
		}
		if best == nil || v.GreaterThan(best) || v.Equal(best) && v.Original() > best.Original() {
			best = v
		}
	}
	if best == nil {
		return "", notFound(fmt.Sprintf("no tag is a version within %q%s", expression, filtered(filter)))
	}
	return best.Original(), nil
}

func filtered(filter string) string {
	if filter == "" {
		return ""
	}
	return fmt.Sprintf(" and matches %q", filter)
}
