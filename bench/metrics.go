package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// gauges are what the engine says of itself at /metrics.
type gauges struct {
	goroutines int
	heap       float64             // bytes that are in use
	sent       float64             // bytes in the bodies of all requests to the API server
	sizes      map[float64]float64 // how many of those were at most so large: the bounds are the metric's
}

// inside is what the engine says of itself once what it does not need any more is
// collected.
func (e *engine) inside(ctx context.Context) (gauges, error) {
	if _, err := e.get(ctx, "profiles", "/debug/pprof/heap?gc=1"); err != nil {
		return gauges{}, err
	}
	return e.gauges(ctx)
}

func (e *engine) gauges(ctx context.Context) (gauges, error) {
	page, err := e.get(ctx, "metrics", "/metrics")
	if err != nil {
		return gauges{}, err
	}
	return gaugesOf(string(page)), nil
}

// gaugesOf reads the text format of Prometheus as far as it is asked for.
func gaugesOf(page string) gauges {
	f := gauges{sizes: map[float64]float64{}}
	for line := range strings.Lines(page) {
		name, labels, value := sample(line)
		switch name {
		case "go_goroutines":
			f.goroutines = int(value)
		case "go_memstats_heap_alloc_bytes":
			f.heap = value
		case "rest_client_request_size_bytes_sum":
			f.sent += value
		case "rest_client_request_size_bytes_bucket":
			if bound, err := strconv.ParseFloat(labels["le"], 64); err == nil {
				f.sizes[bound] += value // of all verbs and hosts
			}
		}
	}
	return f
}

// sample takes a line as "name{label=\"value\",...} value" apart. No label that is
// asked for has a comma or a quote in its value.
func sample(line string) (name string, labels map[string]string, value float64) {
	head, tail, _ := cutLast(strings.TrimSpace(line), " ")
	value, _ = strconv.ParseFloat(tail, 64) // what is no number is not asked for
	name, rest, _ := strings.Cut(head, "{")
	labels = map[string]string{}
	for label := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), ",") {
		key, quoted, _ := strings.Cut(label, "=")
		labels[key] = strings.Trim(quoted, `"`)
	}
	return name, labels, value
}

func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// largest is the bound below which all requests stayed that were sent since, in
// bytes; 0 when nothing was sent.
func (f gauges) largest(since gauges) float64 {
	below := 0.0
	for _, bound := range slices.Sorted(maps.Keys(f.sizes)) {
		if n := f.sizes[bound] - since.sizes[bound]; n > below {
			below = n
		}
	}
	for _, bound := range slices.Sorted(maps.Keys(f.sizes)) {
		if below > 0 && f.sizes[bound]-since.sizes[bound] == below {
			return bound
		}
	}
	return 0
}
