package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// errDeclined ends a command that was asked not to go on.
var errDeclined = errors.New("nothing was changed")

// confirm asks a person whether to go on. Where nobody can answer, it is an error
// that names the flag which answers in advance.
func (g *global) confirm(in io.Reader, question string) error {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return usage(fmt.Errorf("%s: give --yes", strings.TrimSuffix(question, "?")))
	}
	fmt.Fprintf(g.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	default:
		return errDeclined
	}
}

// agree asks about several things at once, unless there is nothing to ask, or --yes
// was given.
func (g *global) agree(in io.Reader, yes bool, doubts []string) error {
	if yes || len(doubts) == 0 {
		return nil
	}
	return g.confirm(in, strings.Join(doubts, "; ")+"?")
}
