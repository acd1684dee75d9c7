package git

import (
	"fmt"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
)

// Ref is what to check out. The first that is set of Commit, Name, SemVer, Tag
// and Branch wins; with none it is the branch master.
type Ref struct {
	Branch, Tag, SemVer, Name, Commit string
}

// target is a reference resolved against what the server has.
type target struct {
	name   plumbing.ReferenceName // to fetch; empty for a commit that no reference shows
	commit plumbing.Hash
	label  string // what stands before @ in a revision
}

// revision is how status shows it.
func (t target) revision() string {
	if t.label == "" {
		return "sha1:" + t.commit.String()
	}
	return t.label + "@sha1:" + t.commit.String()
}

// commitOf is the commit in a revision, the zero hash when there is none.
func commitOf(revision string) plumbing.Hash {
	_, hash, _ := strings.Cut(revision, "sha1:")
	return plumbing.NewHash(hash)
}

// advertised are the server's references, with tags peeled.
type advertised struct {
	url    string
	hashes map[plumbing.ReferenceName]plumbing.Hash
}

const peeled = "^{}"

func newAdvertised(url string, refs []*plumbing.Reference) advertised {
	a := advertised{url: url, hashes: map[plumbing.ReferenceName]plumbing.Hash{}}
	for _, r := range refs {
		if r.Type() == plumbing.HashReference && !strings.HasSuffix(r.Name().String(), peeled) {
			a.hashes[r.Name()] = r.Hash()
		}
	}
	for _, r := range refs { // a tag with a message points to its own object; what counts is the commit
		if name, ok := strings.CutSuffix(r.Name().String(), peeled); ok {
			a.hashes[plumbing.ReferenceName(name)] = r.Hash()
		}
	}
	return a
}

// resolve finds the commit that a Ref means.
func (a advertised) resolve(r Ref) (target, error) {
	switch {
	case r.Commit != "":
		return a.commit(r)
	case r.Name != "":
		return a.named(plumbing.ReferenceName(r.Name), r.Name, "reference "+r.Name)
	case r.SemVer != "":
		return a.highest(r.SemVer)
	case r.Tag != "":
		return a.named(plumbing.NewTagReferenceName(r.Tag), r.Tag, "tag "+r.Tag)
	default:
		branch := r.Branch
		if branch == "" {
			branch = plumbing.Master.Short()
		}
		return a.named(plumbing.NewBranchReferenceName(branch), branch, "branch "+branch)
	}
}

func (a advertised) named(name plumbing.ReferenceName, label, what string) (target, error) {
	hash, ok := a.hashes[name]
	if !ok {
		return target{}, &RefNotFound{a.url, fmt.Sprintf("%s not found; there are %s", what, a.some(name))}
	}
	return target{name: name, commit: hash, label: label}, nil
}

// some lists what there is of the same kind as name.
func (a advertised) some(name plumbing.ReferenceName) string {
	const most = 5
	var found []string
	for n := range a.hashes {
		if n.IsBranch() && !name.IsTag() || n.IsTag() && name.IsTag() {
			found = append(found, n.Short())
		}
	}
	if len(found) == 0 {
		return "none"
	}
	sort.Strings(found)
	if len(found) > most {
		found = append(found[:most], "others")
	}
	return strings.Join(found, ", ")
}

// commit takes a commit as it is. A reference that shows it makes it cheap to
// fetch; without one the whole branch, or everything, has to be.
func (a advertised) commit(r Ref) (target, error) {
	if !plumbing.IsHash(r.Commit) {
		return target{}, &RefNotFound{a.url, fmt.Sprintf("commit %q is not a full SHA-1 of 40 hexadecimal digits", r.Commit)}
	}
	t := target{commit: plumbing.NewHash(r.Commit), label: r.Branch}
	if r.Branch != "" {
		name := plumbing.NewBranchReferenceName(r.Branch)
		if a.hashes[name] == t.commit {
			t.name = name
		}
		return t, nil
	}
	names := make([]string, 0, len(a.hashes))
	for name, hash := range a.hashes {
		if hash == t.commit && (name.IsBranch() || name.IsTag()) {
			names = append(names, name.String())
		}
	}
	if sort.Strings(names); len(names) > 0 {
		t.name = plumbing.ReferenceName(names[0])
	}
	return t, nil
}

// highest is the highest tag in a range, in Masterminds/semver's sense of both.
func (a advertised) highest(expression string) (target, error) {
	constraint, err := semver.NewConstraint(expression)
	if err != nil {
		return target{}, &RefNotFound{a.url, fmt.Sprintf("spec.ref.semver %q is not a range: %v", expression, err)}
	}
	var best, top *semver.Version
	var tags int
	for name := range a.hashes {
		if !name.IsTag() {
			continue
		}
		v, err := semver.NewVersion(name.Short())
		if err != nil {
			continue
		}
		tags++
		if top == nil || higher(v, top) {
			top = v
		}
		if constraint.Check(v) && (best == nil || higher(v, best)) {
			best = v
		}
	}
	switch {
	case best != nil:
		tag := best.Original()
		return a.named(plumbing.NewTagReferenceName(tag), tag, "tag "+tag)
	case top == nil:
		return target{}, &RefNotFound{a.url, fmt.Sprintf("no tag matches semver range %q: no tag is a version", expression)}
	default:
		return target{}, &RefNotFound{a.url, fmt.Sprintf("no tag matches semver range %q: the highest of %d versions is %s", expression, tags, top.Original())}
	}
}

// higher orders versions; equal ones (v1.0.0 and 1.0.0) by how they are written,
// so that the choice does not change from look to look.
func higher(a, b *semver.Version) bool {
	if c := a.Compare(b); c != 0 {
		return c > 0
	}
	return a.Original() > b.Original()
}
