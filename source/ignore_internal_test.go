package source

import (
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

func TestShortened(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                                       "",
		"a/**/b":                                 "a/**/b",
		"/**/a/":                                 "/**/a/",
		"**/**/**":                               "**/**",
		"!**/**/**/a":                            "!**/**/a",
		"///**/a":                                "/**/a",
		"a/**/**//b":                             "a/**//b",
		"a//":                                    "a//",
		strings.Repeat("**/", 100_000) + "*.md":  "**/**/*.md",
		strings.Repeat("/", 100_000) + "a":       "//a",
		"x/" + strings.Repeat("**/", 9999) + "!": "x/**/**/!",
	} {
		if got := shortened(line); got != want {
			t.Errorf("%.40q is shortened to %.40q, want %q", line, got, want)
		}
	}
	if got := patterns(strings.Repeat("[a]", longestPattern)+"\na", nil); len(got) != 1 {
		t.Errorf("%d patterns, want the one that is no longer than a path", len(got))
	}
}

// FuzzShortened holds that a shortened pattern says of every path what the whole one says.
func FuzzShortened(f *testing.F) {
	for _, line := range []string{
		"**/**/**", "/**/**/**/a", "a/**/**/**/b/", "!**/**/**/b", "//**//**//a//", "**/**/**/", "/**/**/", "a/**//**/b", "**/a/**/**/**", "a**/**/**/**/b", "**/**/** ",
	} {
		f.Add(line, "a/b", true)
		f.Add(line, "x/y/a/b/c", false)
	}
	f.Fuzz(func(t *testing.T, line, name string, isDir bool) {
		if strings.ContainsAny(line, "\r\n") {
			return
		}
		path := strings.Split(name, "/")
		want, got := gitignore.ParsePattern(line, nil).Match(path, isDir), gitignore.ParsePattern(shortened(line), nil).Match(path, isDir)
		if got != want {
			t.Errorf("%q is shortened to %q, and says %v of %q, not %v", line, shortened(line), got, name, want)
		}
	})
}
