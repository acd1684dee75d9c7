package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/plumb-gitops/plumb/engine"
)

func (f *runFlags) addShards(flags *pflag.FlagSet) {
	flags.IntVar(&f.shards, "shards", 0, "divide the objects into so many shards, which all engines with this flag share among themselves (default: one engine does all)")
	flags.StringVar(&f.only, "watch-label-selector", "", "work only on objects with these labels, sharding.fluxcd.io/key=a for example; others do the rest")
}

// divide has the engine work on a part of the objects, if the flags say so.
func (f *runFlags) divide(o *engine.Options) error {
	var only labels.Selector
	switch {
	case f.shards < 0:
		return usage(fmt.Errorf("--shards %d: want a number from 1 on, the same for all engines", f.shards))
	case f.shards > 0 && !f.leaderElect:
		return usage(errors.New("--shards divides the work by leases: leave --leader-elect on"))
	case f.shards > 0 && f.artifacts != "":
		return usage(errors.New("--shards and --artifact-server: each engine has the archives of its own sources only; serve them by one engine without --shards"))
	case f.only != "":
		selector, err := labels.Parse(f.only)
		if err != nil {
			return usage(fmt.Errorf("--watch-label-selector %q: %w", f.only, err))
		}
		only = selector
		// Engines for other labels have leases of their own.
		o.LeaderElection.Name = fmt.Sprintf("%s-%x", o.LeaderElection.Name, sha256.Sum256([]byte(selector.String())))[:len(o.LeaderElection.Name)+9]
	}
	if f.shards > 0 || only != nil {
		o.Shards = &engine.Shards{Count: f.shards, Only: only}
	}
	if f.shards > 0 {
		o.LeaderElection.Enabled = false // the leases of the shards do that
	}
	return nil
}
