package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/internal/memory"
	"github.com/plumb-gitops/plumb/source/artifact"
)

type runFlags struct {
	engineFlags
	leaderElect bool
	metricsAddr string
	healthAddr  string
	artifacts   string // address of the artifact server
	advertised  string // its address for clients
	shards      int
	only        string // a label selector

	shardNamespace string // of the leases of the shards
	pprofAddr      string
}

func newRun(g *global) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the engine until it is stopped",
		Example: `  # against the cluster of the current kubeconfig
  plumb run --storage-path /var/lib/plumb

  # on a laptop, without taking the lease, on free ports
  plumb run --leader-elect=false --metrics-addr 127.0.0.1:0 --health-addr 127.0.0.1:0 --log-format text`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), g, f) },
	}
	f.add(cmd, nil)
	f.addRunOnly(cmd.Flags())
	f.addShards(cmd.Flags())
	cmd.Flags().BoolVar(&f.leaderElect, "leader-elect", true, "take the lease first, so that one engine works on a cluster at a time")
	cmd.Flags().StringVar(&f.metricsAddr, "metrics-addr", ":8080", "address of /metrics; port 0 takes a free one, \"\" serves none")
	cmd.Flags().StringVar(&f.healthAddr, "health-addr", ":9440", "address of /healthz and /readyz; port 0 takes a free one, \"\" serves none")
	cmd.Flags().StringVar(&f.pprofAddr, "pprof-addr", "", "address of profiles and traces of the process, for go tool pprof and go tool trace; without a value 127.0.0.1:6060, \"\" serves none")
	cmd.Flags().Lookup("pprof-addr").NoOptDefVal = "127.0.0.1:6060" // they tell what is in memory: nobody else's business
	cmd.Flags().StringVar(&f.artifacts, "artifact-server", "", "address at which archives of the sources are served to other programs; port 0 takes a free one, \"\" serves none")
	cmd.Flags().StringVar(&f.advertised, "artifact-advertised-address", "", "host and port of the artifact server in status.artifact.url (default: the Service of plumb install)")
	return cmd
}

// quiet is how long nothing has to be written until memory is given back.
const quiet = 20 * time.Second

// restful gives memory back whenever the engine comes to rest.
func restful(o *engine.Options) *memory.Rest {
	rest := memory.NewRest(quiet, memory.GiveBack)
	o.Observe = func(p engine.Progress) {
		if len(p.Outcome.Actions) > 0 || p.Gone {
			rest.Disturb()
		}
	}
	return rest
}

func run(ctx context.Context, g *global, f runFlags) error {
	options, err := f.prepare(ctx, g)
	if err != nil {
		return err
	}
	log := options.Log
	options.LeaderElection.Enabled = f.leaderElect
	if err := f.divide(&options); err != nil {
		return err
	}
	if err := f.alone(ctx, options.Cluster); err != nil {
		return err
	}
	limits := memoryFrom(f.current.MemoryWatch)
	gate, watch, err := limits.guard(log)
	if err != nil {
		return err
	}
	options.Heavy = gate
	if f.artifacts != "" {
		options.Artifacts, options.ArtifactHost = artifact.New(options.Sources.Store), f.advertised
	}
	rest := restful(&options)
	defer rest.Stop()
	var ready atomic.Bool
	stopped := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return serve(ctx, log, "metrics", "metrics-addr", f.metricsAddr, metricsHandler(options.Drift))
	})
	group.Go(func() error { return serve(ctx, log, "health", "health-addr", f.healthAddr, healthHandler(&ready)) })
	group.Go(func() error { return serve(ctx, log, "profiles", "pprof-addr", f.pprofAddr, profilesHandler()) })
	group.Go(func() error { return serve(ctx, log, "artifacts", "artifact-server", f.artifacts, options.Artifacts) })
	group.Go(func() error { return watchMemory(ctx, watch) })
	group.Go(func() error { return f.follow(ctx, options.Cluster, f.current, log, f.levels) })
	group.Go(func() error {
		defer cancel() // the servers end with the engine
		return engine.Run(ctx, options, func() {
			ready.Store(true)
			rest.Disturb()
			log.Info("running", "version", version)
		})
	})
	err = group.Wait()
	restart := new(restartError)
	switch restarts := errors.As(err, &restart); {
	case restarts && stopped.Err() == nil:
		// The lease is given back and nothing is under way: as if it had been stopped.
		log.Info("restarting: " + restart.Error())
		return again()
	case err != nil && !restarts: // who was told to stop meanwhile does not start anew
		return err
	}
	log.Info("stopped")
	return nil
}

// metricsHandler serves figures, and the differences that `plumb drift` shows.
func metricsHandler(found *drift.Log) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/drift", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		reports := found.Reports(r.URL.Query().Get("unit"))
		_ = json.NewEncoder(w).Encode(append([]drift.Report{}, reports...)) // whoever asked has gone
	})
	metrics.RegisterRESTClientMetrics(metrics.MetricRequestSize) // how much is sent to the API server
	mux.Handle("/metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	return mux
}

// profilesHandler serves what package net/http/pprof has: profiles of the CPU and
// of memory, goroutines, a trace.
func profilesHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// healthHandler says that the process lives, and whether it sees the cluster. An
// engine that waits for the lease is ready: ready to take over.
func healthHandler(ready *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready: waiting for the first lists", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// serve answers on addr until ctx ends.
func serve(ctx context.Context, log logr.Logger, what, flag, addr string, handler http.Handler) error {
	if addr == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("--%s %s: %w", flag, addr, err)
	}
	log.Info("serving "+what, "address", listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}
