package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// Row is what one step of one case in one size showed. Times are in seconds,
// memory in MiB.
type Row struct {
	Case    string    `json:"case"`
	Variant string    `json:"variant,omitempty"`
	Step    string    `json:"step"`
	N       int       `json:"n"`
	Objects int       `json:"objects,omitempty"`
	Commit  string    `json:"commit"`
	Time    time.Time `json:"time"`

	Seconds      float64 `json:"s"`                         // until all was as wanted
	Floor        float64 `json:"floor_s,omitempty"`         // a bare loop, until all was written
	FloorSettled float64 `json:"floor_settled_s,omitempty"` // and until the cluster's controllers had seen it
	Ratio        float64 `json:"ratio,omitempty"`           // Seconds to Floor
	// FloorCPU is what the cluster and the loop used for the floor, CPURatio what the
	// engine, the cluster and the bench used for the step, as a ratio to it: on a
	// machine that others use as well this tells more than the clock.
	FloorCPU float64 `json:"floor_cpu_s,omitempty"`
	CPURatio float64 `json:"cpu_ratio,omitempty"`
	P50      float64 `json:"p50_s,omitempty"` // of the single units
	P99      float64 `json:"p99_s,omitempty"`

	EngineRequests int                `json:"engine_requests"`
	Requests       requests           `json:"requests,omitempty"` // by client and verb
	CPU            map[string]float64 `json:"cpu_s,omitempty"`    // by process
	RSS            float64            `json:"rss_mib,omitempty"`  // when it was done
	Anonymous      float64            `json:"rss_anon_mib,omitempty"`
	Peak           float64            `json:"rss_peak_mib,omitempty"`
	Fetches        int                `json:"fetches,omitempty"`
	FetchedMiB     float64            `json:"fetched_mib,omitempty"`
	Sent           float64            `json:"sent_kib,omitempty"`            // to the API server, in the bodies of requests
	Largest        float64            `json:"largest_request_kib,omitempty"` // no body was larger: the next bound of the engine's metric
	Goroutines     int                `json:"goroutines,omitempty"`
	Heap           float64            `json:"heap_mib,omitempty"` // in use, after a collection
	Extra          map[string]float64 `json:"extra,omitempty"`    // what only this case has
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// add prints a row and keeps it.
func (b *bench) add(r Row) error {
	r.Time = time.Now().UTC().Truncate(time.Second)
	b.rows = append(b.rows, r)
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	fmt.Println(string(raw))
	file, err := os.OpenFile(filepath.Join(b.out, "results.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(raw, '\n'))
	return errors.Join(err, file.Close())
}

// table prints all rows of the run for people.
func (b *bench) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "case\tN\tstep\ts\tfloor s\tratio\tCPU ratio\tp50 s\tp99 s\trequests\tengine CPU s\tAPI CPU s\tothers CPU s\tRSS MiB\tpeak MiB\tfetched MiB\tsent KiB\tlargest KiB\t")
	for _, r := range b.rows {
		name := r.Case
		if r.Variant != "" {
			name += " (" + r.Variant + ")"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%.2f\t%s\t%s\t%s\t%s\t%s\t%d\t%.1f\t%.1f\t%.1f\t%s\t%s\t%s\t%s\t%s\t\n", name, r.N, r.Step, r.Seconds,
			figure(r.Floor), figure(r.Ratio), figure(r.CPURatio), figure(r.P50), figure(r.P99), r.EngineRequests, r.CPU["engine"], r.CPU["kube-apiserver"], r.CPU["others"],
			figure(r.RSS), figure(r.Peak), figure(r.FetchedMiB), figure(r.Sent), figure(r.Largest))
	}
	_ = t.Flush() // a broken pipe ends the program anyway
}

func figure(x float64) string {
	if x == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", x)
}
