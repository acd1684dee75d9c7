// Package testgit serves real Git repositories on loopback, for tests and the
// demo: HTTP by git's own http-backend, SSH by OpenSSH's sshd. It needs the
// programs git and, for SSH, sshd.
//
// A Repository is a bare repository on disk, changed by Changes in commits. A
// Repo is one of a test, which fails when something goes wrong.
package testgit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/txtar"
)

// Repository is a bare repository. Its commits have the same hashes in each run:
// the clock that dates them begins anew and ticks once per commit.
type Repository struct {
	dir string

	mu    sync.Mutex
	clock int64
}

// Create makes an empty bare repository in dir, with the default branch main.
func Create(dir string) (*Repository, error) {
	r := &Repository{dir: dir, clock: 1_700_000_000}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := r.Git(nil, "init", "--quiet", "--bare", "--initial-branch=main", "."); err != nil {
		return nil, err
	}
	return r, nil
}

// Dir is the folder of the repository.
func (r *Repository) Dir() string { return r.dir }

// Git runs git in the repository, with the given input, and returns what it
// prints. No configuration of the user or the machine has a say.
func (r *Repository) Git(input []byte, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = environment(r.dir)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// environment is that of every git program here.
func environment(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + home,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=plumb", "GIT_AUTHOR_EMAIL=plumb@example.com",
		"GIT_COMMITTER_NAME=plumb", "GIT_COMMITTER_EMAIL=plumb@example.com",
		"GIT_COMMITTER_DATE=1700000000 +0000",
	}
}

// Change is one line of a commit.
type Change struct {
	path, mode, content string
}

// File writes a file.
func File(path, content string) Change { return Change{path, "100644", content} }

// Executable writes a file that may be run.
func Executable(path, content string) Change { return Change{path, "100755", content} }

// Link makes a symbolic link.
func Link(path, target string) Change { return Change{path, "120000", target} }

// Submodule makes a submodule at a commit of another repository.
func Submodule(path, commit string) Change { return Change{path, "160000", commit} }

// Remove removes a file, or a folder with all in it.
func Remove(path string) Change { return Change{path: path} }

// Files writes files: path -> content.
func Files(files map[string]string) []Change {
	var changes []Change
	for path, content := range files {
		changes = append(changes, File(path, content))
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.path, b.path) })
	return changes
}

// Archive writes the files of a txtar archive.
func Archive(text string) []Change {
	var changes []Change
	for _, f := range txtar.Parse([]byte(text)).Files {
		changes = append(changes, File(f.Name, string(f.Data)))
	}
	return changes
}

// write puts the change into the format of git fast-import.
func (c Change) write(w *bytes.Buffer) {
	switch c.mode {
	case "":
		fmt.Fprintf(w, "D %s\n", c.path)
	case "160000":
		fmt.Fprintf(w, "M %s %s %s\n", c.mode, c.content, c.path)
	default:
		fmt.Fprintf(w, "M %s inline %s\ndata %d\n%s\n", c.mode, c.path, len(c.content), c.content)
	}
}

// Commit adds a commit to a branch, which begins with it if need be, and returns
// its hash. Further parents make it a merge.
func (r *Repository) Commit(branch string, changes []Change, parents ...string) (string, error) {
	from := ""
	if tip, err := r.Git(nil, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch); err == nil {
		from = "from " + tip + "\n"
	}
	return r.commit(branch, from, changes, parents)
}

// Rewrite replaces a branch by one commit without history, as a force push of
// something unrelated does, and returns its hash.
func (r *Repository) Rewrite(branch string, changes []Change) (string, error) {
	if _, err := r.Git(nil, "update-ref", "-d", "refs/heads/"+branch); err != nil {
		return "", err
	}
	return r.commit(branch, "", changes, nil)
}

func (r *Repository) commit(branch, from string, changes []Change, parents []string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	w := &bytes.Buffer{}
	fmt.Fprintf(w, "commit refs/heads/%s\ncommitter plumb <plumb@example.com> %d +0000\ndata 6\nchange\n%s", branch, r.clock, from)
	for _, p := range parents {
		fmt.Fprintf(w, "merge %s\n", p)
	}
	for _, c := range changes {
		c.write(w)
	}
	if _, err := r.Git(w.Bytes(), "fast-import", "--quiet", "--force"); err != nil {
		return "", err
	}
	return r.Git(nil, "rev-parse", "refs/heads/"+branch)
}

// Tag makes a tag at a commit, or a branch's newest. With a message it is an
// object of its own (an annotated tag).
func (r *Repository) Tag(name, commit, message string) error {
	args := []string{"tag", "--force", name, commit}
	if message != "" {
		args = []string{"tag", "--force", "--annotate", "--message", message, name, commit}
	}
	_, err := r.Git(nil, args...)
	return err
}

// SetReference makes a reference, given with its full name, point to a commit.
func (r *Repository) SetReference(name, commit string) error {
	_, err := r.Git(nil, "update-ref", name, commit)
	return err
}

// DeleteReference removes a reference, given with its full name.
func (r *Repository) DeleteReference(name string) error {
	_, err := r.Git(nil, "update-ref", "-d", name)
	return err
}

// Config changes the configuration of the repository, such as what the server allows.
func (r *Repository) Config(key, value string) error {
	_, err := r.Git(nil, "config", key, value)
	return err
}

// name is what a server calls the repository.
func (r *Repository) name() string { return filepath.Base(r.dir) }
