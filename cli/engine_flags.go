package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/source/git"
)

// engineFlags are the settings that every command which runs the engine takes.
type engineFlags struct {
	storageFlags
	storage        string
	concurrent     int
	remoteBases    bool
	fileURLs       bool
	hostKeyAlgos   []string
	kexAlgos       []string
	verifyInterval time.Duration
	leaseNamespace string
	namespaces     []string
	takeOver       bool
	strict         bool
	additive       bool
	account        string
	remoteExec     bool
	remoteInsecure bool
	driftRules     string
	logLevel       string
	logFormat      string
}

func (f *engineFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.storageFlags.add(flags)
	flags.StringVar(&f.storage, "storage-path", "", "folder for fetched sources (default: a folder in the user's cache)")
	flags.IntVar(&f.concurrent, "concurrent", 8, "how many objects are worked on at once")
	flags.BoolVar(&f.remoteBases, "allow-remote-bases", false, "let kustomizations load bases from other addresses")
	flags.BoolVar(&f.fileURLs, "allow-file-urls", false, "let GitRepositories name folders of this machine (file://)")
	flags.StringSliceVar(&f.hostKeyAlgos, "ssh-hostkey-algos", nil, "algorithms of SSH host keys that may be used; ssh-rsa has to be named (default: all without SHA-1)")
	flags.StringSliceVar(&f.kexAlgos, "ssh-kex-algos", nil, "SSH key exchanges that may be used (default: all without SHA-1)")
	flags.DurationVar(&f.verifyInterval, "verify-interval", 6*time.Hour, "how often everything is looked at anew, as a safety net")
	flags.StringVar(&f.leaseNamespace, "lease-namespace", "kube-system", "namespace of the lease that makes sure of one engine per cluster")
	flags.StringSliceVar(&f.namespaces, "watch-namespace", nil, "work only on sources and Kustomizations of this namespace; repeatable (default: of all)")
	flags.BoolVar(&f.takeOver, "take-over", false, "work on the cluster although the toolkit's controllers run in it")
	flags.BoolVar(&f.strict, "strict-substitution", true, "refuse manifests with ${variables} that are not defined and have no default")
	flags.BoolVar(&f.additive, "additive-ready-expr", false, "ask of a dependency with a readyExpr to be Ready as well")
	flags.StringVar(&f.account, "default-service-account", "", "service account that Kustomizations act as which name none (default: Plumb's own rights)")
	flags.BoolVar(&f.remoteExec, "insecure-kubeconfig-exec", false, "let kubeconfigs out of Secrets run programs of this machine")
	flags.BoolVar(&f.remoteInsecure, "insecure-kubeconfig-tls", false, "let kubeconfigs out of Secrets skip the verification of certificates")
	flags.StringVar(&f.driftRules, "drift-rules", "", "built-in drift rules: all are on but those named with a minus, as in -hpa-replicas; after none only those named")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, error")
	flags.StringVar(&f.logFormat, "log-format", "json", "json or text")
}

// leaseName is the lease that every engine takes, wherever it runs.
const leaseName = "plumb-engine"

// driftBytes is how much of what others changed is kept in memory.
const driftBytes = 1 << 20

// prepare reaches the cluster and turns the flags into an engine's settings.
func (f *engineFlags) prepare(g *global) (engine.Options, error) {
	log, err := f.logger(g)
	if err != nil {
		return engine.Options{}, err
	}
	cluster, err := g.connect()
	if err != nil {
		return engine.Options{}, err
	}
	return f.options(cluster, log)
}

func (f *engineFlags) options(cluster *kube.Cluster, log logr.Logger) (engine.Options, error) {
	if f.concurrent < 1 {
		return engine.Options{}, usage(fmt.Errorf("--concurrent %d: want at least 1", f.concurrent))
	}
	rules, err := drift.ParseRules(f.driftRules)
	if err != nil {
		return engine.Options{}, usage(fmt.Errorf("--drift-rules: %w", err))
	}
	repositories := git.Options{AllowFile: f.fileURLs, SSHHostKeyAlgorithms: f.hostKeyAlgos, SSHKexAlgorithms: f.kexAlgos}
	if err := repositories.CheckAlgorithms(); err != nil {
		return engine.Options{}, usage(err)
	}
	dir, err := f.storageDir()
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
	return engine.Options{
		Cluster:        cluster,
		Sources:        sources,
		Log:            log,
		Concurrent:     f.concurrent,
		RemoteBases:    f.remoteBases,
		VerifyInterval: f.verifyInterval,
		OwnNamespace:   ownNamespace(),

		DefaultServiceAccount: f.account,
		Remote: kube.RemoteOptions{
			AllowExec: f.remoteExec, AllowInsecure: f.remoteInsecure, UserAgent: cluster.Config.UserAgent,
		},
		StrictSubstitution: f.strict,
		AdditiveReadyExpr:  f.additive,
		DriftRules:         rules,
		Drift:              drift.NewLog(driftBytes),

		Namespaces:     f.namespaces,
		LeaderElection: engine.Election{Enabled: true, Namespace: f.leaseNamespace, Name: leaseName},
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

// logger writes structured logs to standard error, ours and the libraries'.
func (f *engineFlags) logger(g *global) (logr.Logger, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "error": slog.LevelError}
	level, ok := levels[f.logLevel]
	if !ok {
		return logr.Logger{}, usage(fmt.Errorf("--log-level %s: want debug, info or error", f.logLevel))
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	switch f.logFormat {
	case "json":
		handler = slog.NewJSONHandler(g.err, options)
	case "text":
		handler = slog.NewTextHandler(g.err, options)
	default:
		return logr.Logger{}, usage(fmt.Errorf("--log-format %s: want json or text", f.logFormat))
	}
	log := logr.FromSlogHandler(withoutFarewell{handler})
	ctrllog.SetLogger(log)
	klog.SetLogger(log)
	return log, nil
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

// withoutFarewell drops one message of controller-runtime: that the lease is
// "lost" when it is given back at the end of a run.
type withoutFarewell struct{ slog.Handler }

// Handle implements slog.Handler.
func (h withoutFarewell) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "error received after stop sequence was engaged" {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h withoutFarewell) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withoutFarewell{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h withoutFarewell) WithGroup(name string) slog.Handler {
	return withoutFarewell{h.Handler.WithGroup(name)}
}
