package oci_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
)

// What many ask for at once is downloaded once.
func TestOneDownload(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	meter := r.Metered(t)
	push(t, r, "latest", "a: 1\n")
	client := newClient(t, t.TempDir(), source.DefaultLimits())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := client.Fetch(t.Context(), plain(meter.Address), ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	downloads := 0
	for _, asked := range meter.Take() {
		if strings.HasPrefix(asked, "GET ") && strings.Contains(asked, "/blobs/") {
			downloads++
		}
	}
	if downloads != 1 {
		t.Errorf("%d downloads", downloads)
	}
}

// Who gives up does not take down those who share the session.
func TestCancelledAlone(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	push(t, r, "latest", "a: 1\n")
	link := testlink.New(t)
	client, spec := newClient(t, t.TempDir(), source.DefaultLimits()), plain(link.Address(r.Address))
	link.Stall()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, _, err := client.Fetch(ctx, spec, ""); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	for range 4 {
		all.Go(func() {
			if _, _, err := client.Fetch(t.Context(), spec, ""); err != nil {
				t.Error(err)
			}
		})
	}
	cancel()
	link.Heal()
	all.Wait()
}
