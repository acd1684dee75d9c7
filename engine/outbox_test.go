package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// notices are some that weigh the same, by their messages: those of warnings in capitals.
func notices(o *outbox, messages string) {
	for _, m := range strings.Split(messages, "") {
		o.put(&notice{message: m, warning: strings.ToUpper(m) == m, at: noon})
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		put, want        string
		warnings, others int // dropped
	}{
		"nothing":                                 {"", "", 0, 0},
		"all that fits, in its order":             {"aAbB", "aAbB", 0, 0},
		"the oldest goes":                         {"abcdef", "cdef", 0, 2},
		"not a warning":                           {"AaBbcd", "ABcd", 0, 2},
		"for a warning, another":                  {"abcdAB", "cdAB", 0, 2},
		"a warning stays where there is no other": {"ABCDa", "ABCD", 0, 1},
		"the oldest of warnings, at last":         {"aABCDEF", "CDEF", 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutbox(4 * (noticeBytes + 1))
			notices(o, c.put)
			warnings, others := 0, 0
			if c.warnings+c.others > 0 {
				warnings, others = o.forgotten(noon)
			}
			o.close()
			got := ""
			for n := o.take(t.Context()); n != nil; n = o.take(t.Context()) {
				got += n.message
			}
			if got != c.want || warnings != c.warnings || others != c.others || o.bytes != 0 {
				t.Errorf("got %q, %d warnings and %d others dropped, %d bytes left", got, warnings, others, o.bytes)
			}
		})
	}
}

// TestOutboxTellsOfDropsNowAndThen: at most once a minute while more is dropped, and
// the rest when all is sent.
func TestOutboxTellsOfDropsNowAndThen(t *testing.T) {
	t.Parallel()
	o := newOutbox(noticeBytes + 1)
	dropped := func(after time.Duration) int {
		_, others := o.forgotten(noon.Add(after))
		return others
	}
	notices(o, "abc")
	if got := dropped(0); got != 2 {
		t.Errorf("told of %d at once, want 2", got)
	}
	notices(o, "d")
	if got := dropped(time.Second); got != 0 {
		t.Errorf("told of %d a second later, want none yet", got)
	}
	notices(o, "e")
	if got := dropped(time.Minute); got != 2 {
		t.Errorf("told of %d a minute later, want 2", got)
	}
	notices(o, "f")
	o.take(t.Context())
	if got := dropped(time.Minute + time.Second); got != 1 {
		t.Errorf("told of %d when all is sent, want 1", got)
	}
}

func TestOutboxWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(mostWaiting)
		ctx, stop := context.WithCancel(t.Context())
		took := make(chan *notice)
		next := func() *notice {
			go func() { took <- o.take(ctx) }()
			synctest.Wait()
			select {
			case n := <-took:
				t.Fatalf("took %v out of nothing", n)
			default:
			}
			return nil
		}
		next()
		notices(o, "a")
		if n := <-took; n == nil || n.message != "a" {
			t.Errorf("took %v", n)
		}
		next()
		stop()
		if n := <-took; n != nil {
			t.Errorf("took %v when told to stop", n)
		}
	})
}
