package source

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// IgnoreFile is the file with patterns, in the format of .gitignore, for its
// folder and those below.
const IgnoreFile = ".sourceignore"

// ignoredByDefault is what is left out unless a later pattern brings it back:
// the list of the toolkit's documentation of GitRepository, "Default exclusions".
const ignoredByDefault = `.git/
.gitignore
.gitmodules
.gitattributes
*.jpg
*.jpeg
*.gif
*.png
*.wmv
*.flv
*.tar.gz
*.zip
.github/
.circleci/
.travis.yml
.gitlab-ci.yml
appveyor.yml
.drone.yml
cloudbuild.yaml
codeship-services.yml
codeship-steps.yml
.goreleaser.yml
.sops.yaml
.flux.yaml
`

// Judge tells of single files whether Ignored lets them be seen, before there is a
// tree of them: t need hold no more than the .sourceignore files.
func Judge(t Tree, spec *string) (visible func(file string) (bool, error), err error) {
	i, err := rules(t, spec)
	if err != nil {
		return nil, err
	}
	return func(file string) (bool, error) { return i.visible(file, false) }, nil
}

// Ignored is the tree without what its ignore rules exclude. spec is
// spec.ignore, nil when it is not set. The rules are the default list, then the
// .sourceignore files from the root down, then spec; the last that matches a
// path decides, so each may bring back what those before it exclude. (The
// documentation says that spec.ignore overrides the default list; source-controller
// has always extended it instead, see its issue 429, and repositories rely on that.)
//
// Each path is judged by itself, as that controller does: a pattern may bring
// back a file below an excluded folder, which gitignore(5) rules out. Nothing is
// read before it is asked for, but the root's .sourceignore.
func Ignored(t Tree, spec *string) (Tree, error) { return rules(t, spec) }

// rules makes a tree behind its ignore rules.
func rules(t Tree, spec *string) (*ignoring, error) {
	text := ""
	if spec != nil {
		text = *spec
	}
	i := &ignoring{
		Tree:   t,
		first:  patterns(ignoredByDefault, nil),
		last:   patterns(text, nil),
		scopes: map[string]*scope{},
		kept:   map[string]bool{},
	}
	none := &scope{id: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
	none.join(i)
	root, err := i.extended(none, ".")
	if err != nil {
		return nil, err
	}
	i.scopes["."] = root
	return i, nil
}

// ignoring is a tree behind ignore rules.
type ignoring struct {
	Tree
	first, last []pattern

	mu     sync.Mutex
	scopes map[string]*scope // by folder
	kept   map[string]bool   // of excluded folders: is anything below brought back
}

// scope is the rules that hold in a folder. A folder without a .sourceignore
// shares that of its parent.
type scope struct {
	files   []pattern // of the .sourceignore files from the root down
	matcher gitignore.Matcher
	kept    []pattern // those that bring something back
	id      string    // names the rules, for digests
}

// join makes the matcher of a scope from all its patterns.
func (s *scope) join(i *ignoring) {
	all := slices.Concat(i.first, s.files, i.last)
	s.matcher = matcherOf(all)
	s.kept = slices.DeleteFunc(all, func(p pattern) bool { return !p.keeps })
}

func matcherOf(all []pattern) gitignore.Matcher {
	plain := make([]gitignore.Pattern, len(all))
	for n, p := range all {
		plain[n] = p.Pattern
	}
	return gitignore.NewMatcher(plain)
}

// Stat implements Tree.
func (i *ignoring) Stat(name string) (Entry, error) {
	e, err := i.Tree.Stat(name)
	if err != nil || name == "." {
		return e, err
	}
	switch visible, err := i.visible(name, e.IsDir()); {
	case err != nil:
		return Entry{}, err
	case !visible:
		return Entry{}, fmt.Errorf("%s is excluded by the source's ignore rules: %w", name, fs.ErrNotExist)
	default:
		return e, nil
	}
}

// List implements Tree.
func (i *ignoring) List(name string) ([]Entry, error) {
	if _, err := i.Stat(name); err != nil {
		return nil, err
	}
	entries, err := i.Tree.List(name)
	if err != nil {
		return nil, err
	}
	var found []Entry
	for _, e := range entries {
		visible, err := i.visible(path.Join(name, e.Name), e.IsDir())
		if err != nil {
			return nil, err
		}
		if visible {
			found = append(found, e)
		}
	}
	return found, nil
}

// Read implements Tree.
func (i *ignoring) Read(name string) ([]byte, error) {
	if _, err := i.Stat(name); err != nil {
		return nil, err
	}
	return i.Tree.Read(name)
}

// visible tells whether the rules let a path be seen. An excluded folder is seen
// as far as something below it is brought back.
func (i *ignoring) visible(name string, isDir bool) (bool, error) {
	s, err := i.scope(path.Dir(name))
	if err != nil {
		return false, err
	}
	if !s.matcher.Match(strings.Split(name, "/"), isDir) {
		return true, nil
	}
	if !isDir {
		return false, nil
	}
	return i.keptBelow(s, name)
}

// keptBelow looks for something visible in an excluded folder, and only where a
// pattern could bring something back.
func (i *ignoring) keptBelow(s *scope, name string) (bool, error) {
	folder := strings.Split(name, "/")
	if !slices.ContainsFunc(s.kept, func(p pattern) bool { return p.reaches(folder) }) {
		return false, nil
	}
	i.mu.Lock()
	kept, known := i.kept[name]
	i.mu.Unlock()
	if known {
		return kept, nil
	}
	entries, err := i.Tree.List(name)
	for n := 0; n < len(entries) && err == nil && !kept; n++ {
		kept, err = i.visible(path.Join(name, entries[n].Name), entries[n].IsDir())
	}
	if err != nil {
		return false, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kept[name] = kept
	return kept, nil
}

// scope is the rules in a folder.
func (i *ignoring) scope(folder string) (*scope, error) {
	i.mu.Lock()
	s, ok := i.scopes[folder]
	i.mu.Unlock()
	if ok {
		return s, nil
	}
	parent, err := i.scope(path.Dir(folder))
	if err != nil {
		return nil, err
	}
	if s, err = i.extended(parent, folder); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.scopes[folder] = s
	return s, nil
}

// extended is a scope with the .sourceignore of a folder below. A folder that
// the files above exclude has no say.
func (i *ignoring) extended(parent *scope, folder string) (*scope, error) {
	var domain []string
	if folder != "." {
		domain = strings.Split(folder, "/")
		if matcherOf(parent.files).Match(domain, true) {
			return parent, nil
		}
	}
	name := path.Join(folder, IgnoreFile)
	if e, err := i.Tree.Stat(name); errors.Is(err, fs.ErrNotExist) || err == nil && !e.Mode.IsRegular() {
		return parent, nil
	}
	content, err := i.Tree.Read(name)
	if err != nil {
		return nil, err
	}
	s := &scope{files: slices.Concat(parent.files, patterns(string(content), domain))}
	s.id = fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", parent.id, folder, content)))
	s.join(i)
	return s, nil
}

// pattern is one line of an ignore file.
type pattern struct {
	gitignore.Pattern
	keeps  bool     // brings back, instead of excluding
	anchor []string // what matches lies below a folder that matches these, name by name
}

// patterns parses the lines of an ignore file that stands in the folder domain.
// Every text parses; a pattern that makes no sense, or is longer than a path can be,
// matches nothing.
func patterns(text string, domain []string) []pattern {
	var out []pattern
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		if line = shortened(line); len(line) > longestPattern {
			continue
		}
		body, keeps := strings.CutPrefix(line, "!")
		out = append(out, pattern{
			Pattern: gitignore.ParsePattern(line, domain),
			keeps:   keeps,
			anchor:  slices.Concat(domain, anchorOf(body)),
		})
	}
	return out
}

// longestPattern is how long a pattern may be, in bytes: as long as a path may be. Each
// is held against each path.
const longestPattern = 4096

// shortened is a pattern that matches the same and has no more than two parts in a row
// that stand for any folders or for none: they cost without a limit otherwise, for each
// path. What such a row means, its last part says.
func shortened(line string) string {
	body, slash := strings.CutSuffix(line, "/") // which says that folders are meant
	sign := ""
	if rest, keeps := strings.CutPrefix(body, "!"); keeps {
		sign, body = "!", rest
	}
	var kept []string
	row := 0
	for part := range strings.SplitSeq(body, "/") {
		if part != "" && part != "**" {
			row = 0
		} else if row++; row > 2 {
			kept[len(kept)-1] = part
			continue
		}
		kept = append(kept, part)
	}
	body = sign + strings.Join(kept, "/")
	if slash {
		body += "/"
	}
	return body
}

// anchorOf is the leading names of a pattern that is bound to its folder; one
// without a slash but at its end is not.
func anchorOf(body string) []string {
	body = strings.TrimSuffix(strings.TrimRight(body, " "), "/")
	if !strings.Contains(body, "/") {
		return nil
	}
	names := strings.Split(strings.TrimPrefix(body, "/"), "/")
	if n := slices.IndexFunc(names, func(s string) bool { return s == "" || strings.Contains(s, "**") }); n >= 0 {
		names = names[:n]
	}
	return names
}

// reaches tells whether the pattern could match something below a folder.
func (p pattern) reaches(folder []string) bool {
	for n := range min(len(p.anchor), len(folder)) {
		if ok, err := path.Match(p.anchor[n], folder[n]); err != nil || !ok {
			return false
		}
	}
	return true
}
