package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/settings"
	"github.com/plumb-gitops/plumb/source/git"
	"github.com/plumb-gitops/plumb/source/store"
)

// engineFlags are what every command takes that runs the engine: settings, and
// what is about this one process.
type engineFlags struct {
	storageFlags
	settingFlags
	storage        string
	fileURLs       bool
	hostKeyAlgos   []string
	kexAlgos       []string
	leaseNamespace string
	namespaces     []string
	takeOver       bool
	logFormat      string
	inventory      string // most of one in a status

	levels  *levels
	current settings.Settings
}

// add adds the flags; defaults are settings of the command's own.
func (f *engineFlags) add(cmd *cobra.Command, defaults settings.Values) {
	flags := cmd.Flags()
	f.settingFlags.add(flags, defaults)
	f.storageFlags.add(flags)
	flags.StringVar(&f.storage, "storage-path", "", "folder for fetched sources (default: a folder in the user's cache)")
	flags.BoolVar(&f.fileURLs, "allow-file-urls", false, "let GitRepositories name folders of this machine (file://)")
	flags.StringSliceVar(&f.hostKeyAlgos, "ssh-hostkey-algos", nil, "algorithms of SSH host keys that may be used; ssh-rsa has to be named (default: all without SHA-1)")
	flags.StringSliceVar(&f.kexAlgos, "ssh-kex-algos", nil, "SSH key exchanges that may be used (default: all without SHA-1)")
	flags.StringVar(&f.leaseNamespace, "lease-namespace", install.LeaseNamespace, "namespace of the lease that makes sure of one engine per cluster")
	flags.StringSliceVar(&f.namespaces, "watch-namespace", nil, "work only on sources and Kustomizations of this namespace; repeatable (default: of all)")
	flags.BoolVar(&f.takeOver, "take-over", false, "work on the cluster although the toolkit's controllers run in it")
	flags.StringVar(&f.inventory, "max-status-inventory", mostInStatus, "most that the inventory of a Kustomization may take in its status; a larger one is kept in ConfigMaps beside it")
	flags.StringVar(&f.logFormat, "log-format", "json", "json or text")
}

// mostInStatus is how much of an inventory is kept in a status by default.
const mostInStatus = "96Ki"

// driftBytes is how much of what others changed is kept in memory.
const driftBytes = 1 << 20

// prepare reaches the cluster and turns flags and settings into those of an engine.
func (f *engineFlags) prepare(ctx context.Context, g *global) (engine.Options, error) {
	if _, err := f.given(); err != nil { // what is wrong here needs no cluster to be told
		return engine.Options{}, err
	}
	f.levels = &levels{}
	f.levels.set(settings.Defaults())
	log, err := newLogger(g.err, f.logFormat, f.levels)
	if err != nil {
		return engine.Options{}, err
	}
	cluster, err := g.connect()
	if err != nil {
		return engine.Options{}, err
	}
	var notes []string
	if f.current, notes, err = f.load(ctx, cluster); err != nil {
		return engine.Options{}, err
	}
	f.levels.set(f.current)
	logNotes(log, notes, f.current)
	return f.options(cluster, log)
}

func (f *engineFlags) options(cluster *kube.Cluster, log logr.Logger) (engine.Options, error) {
	s := f.current
	rules, err := drift.ParseRules(s.DriftRules)
	if err != nil {
		return engine.Options{}, usage(fmt.Errorf("drift-rules: %w", err))
	}
	hostKeys := f.hostKeyAlgos
	if len(hostKeys) == 0 {
		hostKeys = s.HostKeyAlgorithms
	}
	repositories := git.Options{AllowFile: f.fileURLs, SSHHostKeyAlgorithms: hostKeys, SSHKexAlgorithms: f.kexAlgos}
	if err := repositories.CheckAlgorithms(); err != nil {
		return engine.Options{}, usage(err)
	}
	dir, err := f.storageDir()
	if err != nil {
		return engine.Options{}, err
	}
	inventory, err := bytesOf("max-status-inventory", f.inventory)
	if err != nil {
		return engine.Options{}, err
	}
	kept, limits, err := f.storageFlags.options()
	if err != nil {
		return engine.Options{}, err
	}
	sources, err := fetch.Open(dir, fetch.Options{Git: repositories, Limits: limits, Store: kept})
	if err != nil {
		return engine.Options{}, err
	}
	known, err := store.Open(filepath.Join(dir, "units"), store.Options{})
	if err != nil {
		return engine.Options{}, err
	}
	return engine.Options{
		Cluster:        cluster,
		Known:          known,
		Sources:        sources,
		Off:            engine.Parts{Sources: !s.Sources, Kustomizations: !s.Kustomizations, HelmReleases: !s.HelmReleases},
		Log:            log,
		Concurrent:     s.Concurrent,
		RemoteBases:    s.RemoteBases,
		VerifyInterval: s.VerifyInterval,
		OwnNamespace:   ownNamespace(),
		InventoryBytes: int(max(1, inventory)), // at 0 all of it is in ConfigMaps

		OwnNamespaceOnly:      s.EnforceTenancy,
		DefaultServiceAccount: s.Account(),
		Remote: kube.RemoteOptions{
			AllowExec: s.KubeconfigExec, AllowInsecure: s.KubeconfigInsecure, UserAgent: cluster.Config.UserAgent,
		},
		StrictSubstitution: s.StrictSubstitution,
		AdditiveReadyExpr:  s.AdditiveReadyExpr,
		HelmDrift:          s.HelmDrift,
		DriftRules:         rules,
		Drift:              drift.NewLog(driftBytes),
		Namespaces:         f.namespaces,
		LeaderElection:     engine.Election{Enabled: true, Namespace: f.leaseNamespace, Name: install.Lease},
	}, nil
}

func (f *engineFlags) storageDir() (string, error) {
	if f.storage != "" {
		return f.storage, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", usage(fmt.Errorf("no folder for fetched sources: %w; give --storage-path", err))
	}
	return filepath.Join(cache, "plumb"), nil
}

// ownNamespace is the namespace of the pod that we run in, "" outside of one.
func ownNamespace() string {
	if name := os.Getenv("POD_NAMESPACE"); name != "" {
		return name
	}
	raw, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
