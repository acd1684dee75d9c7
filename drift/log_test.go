package drift

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"time"
)

func report(unit string, n int, fields ...Difference) Report {
	return Report{Unit: unit, Object: fmt.Sprintf("ConfigMap/shop/%d", n), Time: time.Unix(int64(n), 0).UTC(), Corrected: true, Fields: fields}
}

func TestLogKeepsTheLast(t *testing.T) {
	t.Parallel()
	field := Difference{Path: "data.a", Manager: "kubectl", Before: `"1"`, After: `"2"`}
	log := NewLog(5 * report("apps", 1, field).size())
	for n := range 20 {
		log.Add(report("apps", n, field))
	}
	got := log.Reports("apps")
	if len(got) < 4 || len(got) > 5 || got[0].Object != "ConfigMap/shop/19" || got[1].Object != "ConfigMap/shop/18" {
		t.Errorf("got %v", got)
	}
	if other := log.Reports("other"); other != nil {
		t.Errorf("another unit has %v", other)
	}
}

func TestLogIsBound(t *testing.T) {
	t.Parallel()
	if err := quick.Check(func(lengths []uint16) bool {
		log := NewLog(4096)
		for n, length := range lengths {
			log.Add(report("u", n, Difference{Path: strings.Repeat("x", int(length)%6000)}, Difference{Path: "y"}))
		}
		sum := 0
		for _, r := range log.Reports("") {
			sum += r.size()
		}
		return sum <= 4096 && sum == log.bytes && (len(lengths) == 0 || sum > 0)
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestLogIsSafe(t *testing.T) {
	t.Parallel()
	log := NewLog(4096)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() { log.Add(report("u", n)); log.Reports(""); log.Fights(1) })
	}
	group.Wait()
	if len(log.Reports("u")) != 8 {
		t.Error("reports are missing")
	}
}

func TestLogKeepsOneReportOfStandingDrift(t *testing.T) {
	t.Parallel()
	log, field := NewLog(1<<16), Difference{Path: "data.a", Before: `"1"`}
	standing := report("u", 1, field)
	standing.Corrected = false
	log.Add(standing)
	log.Add(report("u", 2, field))
	log.Add(standing)
	if got := log.Reports(""); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	standing.Fields = []Difference{{Path: "data.a", Before: `"2"`}}
	log.Add(standing)
	log.Add(report("u", 1, field))
	log.Add(standing)
	if got := log.Reports(""); len(got) != 5 {
		t.Errorf("got %v", got)
	}
}

func TestFights(t *testing.T) {
	t.Parallel()
	log := NewLog(1 << 16)
	for range 3 {
		log.Add(report("u", 1, Difference{Path: "spec.replicas", Manager: "keda"}, Difference{Path: "data.a", Manager: "kubectl"}))
	}
	log.Add(report("u", 1, Difference{Path: "spec.replicas", Manager: "keda"}))
	got := log.Fights(4)
	if len(got) != 1 || got[0] != (Fight{"", "u", "ConfigMap/shop/1", "spec.replicas", "keda", 4}) {
		t.Errorf("got %v", got)
	}
}
