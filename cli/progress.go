package cli

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/plumb-gitops/plumb/engine"
)

// progress tells people how a long run goes: a line that moves on a terminal,
// plain lines elsewhere.
type progress struct {
	out  io.Writer
	live bool
	said map[string]string // object -> what was last said of it

	mu sync.Mutex // lines come from more than one goroutine
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, live: ok && term.IsTerminal(int(file.Fd())), said: map[string]string{}}
}

// line prints one line that stays.
func (p *progress) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lineLocked(format, args...)
}

func (p *progress) lineLocked(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// note tells how one pass ended, and how far everything is.
func (p *progress) note(n engine.Progress, t *tracker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range n.Outcome.Actions {
		text := a.Key.String() + " " + a.Verb
		if a.Detail != "" {
			text += ": " + a.Detail
		}
		p.lineLocked("  %s", text)
	}
	if text := said(n); text != "" && p.said[n.ID()] != text {
		p.said[n.ID()] = text
		p.lineLocked("%s  %s", n.ID(), text)
	}
	if p.live {
		c := t.counts()
		p.clear()
		fmt.Fprintf(p.out, "%d of %d ready", c[ready], len(t.objects))
		if bad := c[failed] + c[held]; bad > 0 {
			fmt.Fprintf(p.out, ", %d failed", bad)
		}
	}
}

// end takes the moving line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) clear() {
	if p.live {
		fmt.Fprint(p.out, "\r\033[K")
	}
}

func said(n engine.Progress) string {
	switch {
	case n.Gone:
		return "gone"
	case n.Suspended:
		return "suspended"
	default:
		return n.Outcome.Message
	}
}
