package git

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// Ref is what to check out. The first that is set of Commit, Name, SemVer, Tag
// and Branch wins; with none it is the branch master.
type Ref struct {
	Branch, Tag, SemVer, Name, Commit string
}

// target is a reference resolved against what the server has.
type target struct {
	want   plumbing.Hash // what the server shows; zero for a commit that no reference shows
	commit plumbing.Hash
	label  string        // what stands before @ in a revision
	tag    plumbing.Hash // the tag object that has to come too; zero for none
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

// advertised are the server's references.
type advertised struct {
	url    string
	hashes map[plumbing.ReferenceName]plumbing.Hash
	peeled map[plumbing.ReferenceName]plumbing.Hash // the commits of tags that are objects of their own
}

func newAdvertised(url string, refs *packp.AdvRefs) advertised {
	a := advertised{url, map[plumbing.ReferenceName]plumbing.Hash{}, map[plumbing.ReferenceName]plumbing.Hash{}}
	if refs.Head != nil {
		a.hashes[plumbing.HEAD] = *refs.Head
	}
	for name, hash := range refs.References {
		a.hashes[plumbing.ReferenceName(name)] = hash
	}
	for name, hash := range refs.Peeled {
		a.peeled[plumbing.ReferenceName(name)] = hash
	}
	return a
}

// commitAt is the commit that a reference leads to.
func (a advertised) commitAt(name plumbing.ReferenceName) plumbing.Hash {
	if hash, ok := a.peeled[name]; ok {
		return hash
	}
	return a.hashes[name]
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
		return target{}, absent(a.url, fmt.Sprintf("%s not found; the repository has %s", what, a.some(name)))
	}
	return target{want: hash, commit: a.commitAt(name), label: label}, nil
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
	slices.Sort(found)
	if len(found) > most {
		found = append(found[:most], "others")
	}
	return strings.Join(found, ", ")
}

// commit takes a commit as it is. A reference that shows it makes it cheap to
// fetch; without one the server may have to give a branch with its history.
func (a advertised) commit(r Ref) (target, error) {
	if !plumbing.IsHash(r.Commit) {
		return target{}, absent(a.url, fmt.Sprintf("spec.ref.commit %q is not a full SHA-1 of 40 hexadecimal digits", r.Commit))
	}
	t := target{commit: plumbing.NewHash(r.Commit), label: r.Branch}
	for _, name := range slices.Sorted(maps.Keys(a.hashes)) {
		if a.commitAt(name) == t.commit {
			t.want = a.hashes[name]
			break
		}
	}
	return t, nil
}

// tips are what to ask for to get everything below some branches and tags: the
// one branch, or all of them when it is empty or not there.
func (a advertised) tips(branch string) []plumbing.Hash {
	if hash, ok := a.hashes[plumbing.NewBranchReferenceName(branch)]; ok && branch != "" {
		return []plumbing.Hash{hash}
	}
	var all []plumbing.Hash
	for name, hash := range a.hashes {
		if name.IsBranch() || name.IsTag() {
			all = append(all, hash)
		}
	}
	return all
}

// highest is the highest tag in a range, in Masterminds/semver's sense of both.
func (a advertised) highest(expression string) (target, error) {
	constraint, err := semver.NewConstraint(expression)
	if err != nil {
		return target{}, absent(a.url, fmt.Sprintf("spec.ref.semver '%s' is not a range such as '>=1.0.0 <2.0.0': %v", expression, err))
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
		return target{}, absent(a.url, fmt.Sprintf("no tag matches semver range '%s'; no tag is a version", expression))
	default:
		return target{}, absent(a.url, fmt.Sprintf("no tag matches semver range '%s'; the highest of %d tags is %s", expression, tags, top.Original()))
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
