package main

import (
	"context"
	"time"
)

// step is one measured part of a case.
type step struct {
	*lab
	row    Row
	before seconds
	said   gauges // by the engine of process pid, when the step began
	pid    int
	mark   int64
	begun  time.Time
}

// begin begins a step. What is counted from here on is its.
func (l *lab) begin(ctx context.Context, name string) (*step, error) {
	s := &step{lab: l, row: Row{Case: l.name, Variant: l.variant, Step: name, N: l.n, Commit: l.commit}}
	l.meter.Take()
	var err error
	if s.mark, err = l.mark(); err != nil {
		return nil, err
	}
	if l.engine != nil {
		if l.engine.profile != nil {
			l.engine.profile.name(name)
		}
		if err := resetPeak(l.engine.pid); err != nil {
			return nil, err
		}
		if s.said, err = l.engine.gauges(ctx); err != nil {
			return nil, err
		}
		s.pid = l.engine.pid
	}
	s.before, s.begun = l.cpu(), time.Now()
	return s, nil
}

// took notes how long each object took.
func (s *step) took(took []time.Duration) {
	s.row.P50, s.row.P99, s.row.Seconds = quantile(took, 0.5), quantile(took, 0.99), quantile(took, 1)
}

// end ends a step and writes its row. The floor is how long a bare loop needed for
// the same; notes add to the row.
func (s *step) end(ctx context.Context, floor *floor, notes ...func(*Row)) error {
	if err := s.collect(ctx, floor); err != nil {
		return err
	}
	for _, note := range notes {
		note(&s.row)
	}
	return s.add(s.row)
}

// extra notes a figure that only this case has.
func (s *step) extra(name string, value float64) { s.row.Extra = merge(s.row.Extra, name, value) }

// collect fills the row, once the engine has nothing more to send.
func (s *step) collect(ctx context.Context, floor *floor) error {
	all, err := s.quiet(ctx)
	if err != nil {
		return err
	}
	s.row.Requests, s.row.CPU = all, s.cpu().since(s.before)
	s.row.EngineRequests = all.total("plumb")
	traffic := s.meter.Take()
	s.row.Fetches, s.row.FetchedMiB = traffic.Downloads, round(float64(traffic.Bytes)/mebi)
	s.beside(floor)
	if s.engine == nil {
		return nil
	}
	m := memoryOf(s.engine.pid)
	s.row.RSS, s.row.Anonymous, s.row.Peak = round(m.resident), round(m.anonymous), round(m.peak)
	says, err := s.engine.gauges(ctx)
	if err != nil {
		return err
	}
	if s.engine.pid != s.pid {
		s.said = gauges{} // it was started in the step, and counts from nothing
	}
	s.row.Sent, s.row.Largest = round((says.sent-s.said.sent)/1024), round(says.largest(s.said)/1024)
	return nil
}

// beside notes the floor; nil where there is none.
func (s *step) beside(f *floor) {
	if f == nil {
		return
	}
	s.row.Objects, s.row.Floor, s.row.FloorSettled = f.objects, round(f.written.Seconds()), round(f.settled.Seconds())
	s.row.Ratio = round(s.row.Seconds / f.written.Seconds())
	s.row.FloorCPU, s.row.CPURatio = round(f.cpu), round(total(s.row.CPU)/f.cpu)
}

// pause is how long the engine has to be silent to count as done.
const pause = time.Second

// quiet waits until the engine sends nothing more, and returns all that was sent
// in the step. It looks at the audit log, which costs the cluster nothing.
func (s *step) quiet(ctx context.Context) (requests, error) {
	all, mark := requests{}, s.mark
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		more, next, err := s.since(mark)
		if err != nil {
			return nil, err
		}
		mark = next
		for agent, verbs := range more {
			if all[agent] == nil {
				all[agent] = map[string]int{}
			}
			for verb, n := range verbs {
				all[agent][verb] += n
			}
		}
		if more.total("plumb") == 0 {
			return all, nil
		}
	}
}

// idle measures a stretch of time in which nothing happens, and what is left in
// memory then.
func (l *lab) idle(ctx context.Context, d time.Duration) error {
	s, err := l.begin(ctx, "idle")
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d - pause):
	}
	s.row.Seconds = d.Seconds()
	if err := s.collect(ctx, nil); err != nil { // the memory as it is, and only then what a collection leaves
		return err
	}
	says, err := l.engine.inside(ctx)
	if err != nil {
		return err
	}
	s.row.Goroutines, s.row.Heap = says.goroutines, round(says.heap/mebi)
	return s.add(s.row)
}
