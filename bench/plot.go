package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"image/color"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// figures are the pictures of a case: what is drawn over N.
var figures = []struct {
	name, axis string
	of         func(Row) float64
}{
	{"seconds", "seconds until all is Ready (dashed: the floor)", func(r Row) float64 { return r.Seconds }},
	{"memory", "peak RSS of the engine, MiB", func(r Row) float64 { return r.Peak }},
	{"requests", "requests of the engine", func(r Row) float64 { return float64(r.EngineRequests) }},
}

// draw makes pictures of all results that there are, of this run and of earlier ones:
// for each case one of time, memory and requests, with a curve over N for each step.
func (b *bench) draw() error {
	cases, err := read(filepath.Join(b.out, "results.jsonl"))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		for _, f := range figures {
			p := plot.New()
			p.Title.Text, p.X.Label.Text, p.Y.Label.Text = name, "N", f.axis
			p.X.Min, p.Y.Min, p.Legend.Top, p.Legend.Left = 0, 0, true, true
			if err := curves(p, cases[name], f.of, f.name == "seconds"); err != nil {
				return err
			}
			if err := p.Save(16*vg.Centimeter, 10*vg.Centimeter, filepath.Join(b.out, name+"-"+f.name+".png")); err != nil {
				return err
			}
		}
	}
	return nil
}

// read gives the rows by case and step. Of rows of the same size the last counts.
func read(file string) (map[string]map[string]map[int]Row, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out := map[string]map[string]map[int]Row{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r Row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if out[r.Case] == nil {
			out[r.Case] = map[string]map[int]Row{}
		}
		if out[r.Case][r.Step] == nil {
			out[r.Case][r.Step] = map[int]Row{}
		}
		out[r.Case][r.Step][r.N] = r
	}
	return out, lines.Err()
}

var colours = []color.Color{
	color.RGBA{R: 31, G: 119, B: 180, A: 255}, color.RGBA{R: 214, G: 39, B: 40, A: 255}, color.RGBA{R: 44, G: 160, B: 44, A: 255},
	color.RGBA{R: 148, G: 103, B: 189, A: 255}, color.RGBA{R: 255, G: 127, B: 14, A: 255}, color.RGBA{R: 100, G: 100, B: 100, A: 255},
}

// curves adds the steps of a case, and their floors.
func curves(p *plot.Plot, steps map[string]map[int]Row, of func(Row) float64, floors bool) error {
	for i, step := range slices.Sorted(maps.Keys(steps)) {
		if step == "idle" && floors {
			continue // its time says nothing
		}
		line, points, err := plotter.NewLinePoints(values(steps[step], of))
		if err != nil {
			return err
		}
		line.Color, points.Color = colours[i%len(colours)], colours[i%len(colours)]
		p.Add(line, points)
		p.Legend.Add(step, line, points)
		floor := values(steps[step], func(r Row) float64 { return r.Floor })
		if !floors || slices.ContainsFunc(floor, func(at plotter.XY) bool { return at.Y == 0 }) {
			continue
		}
		dashed, err := plotter.NewLine(floor)
		if err != nil {
			return err
		}
		dashed.Color, dashed.Dashes = line.Color, []vg.Length{vg.Points(4), vg.Points(3)}
		p.Add(dashed)
	}
	return nil
}

func values(rows map[int]Row, of func(Row) float64) (out plotter.XYs) {
	for _, n := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, plotter.XY{X: float64(n), Y: of(rows[n])})
	}
	return out
}
