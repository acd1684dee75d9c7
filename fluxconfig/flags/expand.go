package flags

import (
	"slices"
	"strings"
)

// separator stands between the words of one flag in an expanded argument. No word
// of a command line has it.
const separator = "\x1f"

// switches are flags beside those of Sources that may be followed by true or false.
var switches = []string{"--prune", "--force", "--disable-health-check"}

// Expand makes arguments of plumb config into such that a flag has one word at
// most, as the parser wants them: all words behind --kustomization and its like, up
// to the next flag, become one (see Split); and a switch takes the true or false
// that follows it. Other arguments are left alone.
func Expand(args []string) []string {
	from := slices.Index(args, "config") + 1
	if from == 0 {
		return args
	}
	out := slices.Clone(args[:from])
	for i := from; i < len(args); i++ {
		name, _, assigned := strings.Cut(args[i], "=")
		out = append(out, args[i])
		switch {
		case takesWords(name):
			words := following(args[i+1:])
			i += len(words)
			if assigned {
				out[len(out)-1] = strings.Join(append([]string{args[i-len(words)]}, words...), separator)
			} else if len(words) > 0 {
				out = append(out, strings.Join(words, separator))
			}
		case !assigned && isSwitch(name) && i+1 < len(args) && isTruth(args[i+1]):
			i++
			out[len(out)-1] = name + "=" + strings.ToLower(args[i])
		}
	}
	return out
}

// Split takes expanded arguments apart again.
func Split(arguments ...string) (words []string) {
	for _, argument := range arguments {
		words = append(words, strings.Split(argument, separator)...)
	}
	return words
}

// following are the words up to the next flag.
func following(args []string) []string {
	for i, arg := range args {
		if strings.HasPrefix(arg, "-") {
			return args[:i]
		}
	}
	return args
}

func takesWords(name string) bool {
	return slices.ContainsFunc(Sources, func(f Flag) bool { return f.Form == Words && f.is(name) })
}

func isSwitch(name string) bool {
	return slices.Contains(switches, name) || slices.ContainsFunc(Sources, func(f Flag) bool { return f.Form == Switch && f.is(name) })
}

// is tells whether an argument names the flag.
func (f Flag) is(argument string) bool {
	long, isLong := strings.CutPrefix(argument, "--")
	return isLong && (long == f.Name || slices.Contains(f.Aliases, long)) || f.Short != "" && argument == "-"+f.Short
}

func isTruth(word string) bool {
	return strings.EqualFold(word, "true") || strings.EqualFold(word, "false")
}
