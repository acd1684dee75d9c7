package main

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// TestDraw: rows on disk become pictures, for each case.
func TestDraw(t *testing.T) {
	t.Parallel()
	b := &bench{out: t.TempDir()}
	for n := 100; n <= 300; n += 100 {
		for _, step := range []string{"install", "idle"} {
			if err := b.add(Row{Case: "case", Step: step, N: n, Seconds: float64(n), Floor: float64(n / 2), Peak: 100}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.draw(); err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		file, err := os.Open(filepath.Join(b.out, "case-"+f.name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if picture, err := png.Decode(file); err != nil || picture.Bounds().Dx() < 300 {
			t.Errorf("%s: %v", file.Name(), err)
		}
	}
}

// TestChoose: what cases and sizes a run has.
func TestChoose(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		names, sizes string
		want         int
		fails        bool
	}{
		"all":           {"", "", len(bouts), false},
		"two":           {"chain,diff", "5,10", 2, false},
		"no such case":  {"chains", "", 0, true},
		"no size":       {"", "many", 0, true},
		"less than one": {"", "0", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := choose(tc.names, tc.sizes)
			if len(chosen) != tc.want || (err != nil) != tc.fails {
				t.Errorf("%d cases, %v", len(chosen), err)
			}
		})
	}
}
