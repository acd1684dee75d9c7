package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/shard/lease"
)

func (f *runFlags) addShards(flags *pflag.FlagSet) {
	flags.IntVar(&f.shards, "shards", 0, "divide the objects into so many shards, which all engines with this flag share among themselves (default: one engine does all)")
	flags.StringVar(&f.shardNamespace, "shard-namespace", "", "namespace of the leases by which engines with --shards share them (default: that of --lease-namespace)")
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
	case f.shards == 0 && f.shardNamespace != "":
		return usage(errors.New("--shard-namespace is for --shards: give their number as well"))
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
		o.Shards = &engine.Shards{Count: f.shards, Only: only, Namespace: f.shardNamespace}
	}
	if f.shards > 0 {
		o.LeaderElection.Enabled = false // the leases of the shards do that
	}
	return nil
}

// sharedBy is who has the lease of a single engine while the shards of an installation
// are worked on.
func sharedBy(o install.Options) string {
	place := o.Namespace
	if place == o.LeaseNamespace {
		place = ""
	}
	return lease.Together(int(o.Shards), place)
}

// shardLeases are the leases of engines and shards in a namespace.
func shardLeases(ctx context.Context, cluster *kube.Cluster, namespace string) ([]unstructured.Unstructured, error) {
	resource, err := cluster.Resource(leaseKind, namespace)
	if err != nil {
		return nil, err
	}
	list, err := resource.List(ctx, metav1.ListOptions{LabelSelector: lease.GroupLabel + "=" + install.Lease})
	if err != nil {
		return nil, fmt.Errorf("look for the leases of the shards: %w", err)
	}
	return list.Items, nil
}

// sharing is which engines of an installation are alive, and who holds each shard.
func sharing(ctx context.Context, cluster *kube.Cluster, o install.Options) (members, holders []string, err error) {
	found, err := shardLeases(ctx, cluster, o.Namespace)
	if err != nil {
		return nil, nil, err
	}
	holders = make([]string, o.Shards)
	for i := range found {
		obj := &found[i]
		if lease.OfMember(obj.GetLabels()) {
			if who := holderOf(obj, time.Now()); who != "" {
				members = append(members, who)
			}
			continue
		}
		for n := range holders {
			if obj.GetName() == lease.ShardName(install.Lease, n) { // it is written when its holder changes, and lasts as long as that lives
				holders[n], _, _ = unstructured.NestedString(obj.Object, "spec", "holderIdentity")
			}
		}
	}
	return members, holders, nil
}
