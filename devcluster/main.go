// Devcluster starts a real Kubernetes control plane on loopback, for demos and
// tests: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and KWOK
// for a node whose pods become Running and Ready without running anything.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	if len(os.Args) > 1 {
		if component, ok := components[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			component()
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// The exit codes.
const (
	done        = 0
	failed      = 1
	wrongUsage  = 2
	interrupted = 130
)

// run returns the exit code of a command line.
func run(ctx context.Context, args []string) int {
	begun := false
	root := command(&begun)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return done
	}
	fmt.Fprintln(os.Stderr, "devcluster:", err)
	switch {
	case !begun:
		return wrongUsage
	case ctx.Err() != nil:
		return interrupted
	default:
		return failed
	}
}

// command is the command line. It sets begun once the arguments are found right.
func command(begun *bool) *cobra.Command {
	var dir string
	root := &cobra.Command{
		Use:   "devcluster",
		Short: "A real Kubernetes control plane on loopback, for demos and tests",
		Long: `A real Kubernetes control plane on loopback, for demos and tests.

Exit codes: 0 done; 1 failed, or not all components run; 2 wrong usage; 130 interrupted.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if dir == "" {
				return errors.New("give --dir, the folder of the cluster")
			}
			*begun = true
			return nil
		},
	}
	root.PersistentFlags().StringVar(&dir, "dir", "", "folder of the cluster, new or empty for the first up; its kubeconfig and audit.log are in there")
	root.AddCommand(upCommand(&dir), downCommand(&dir), statusCommand(&dir))
	return root
}

func upCommand(dir *string) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up --dir D",
		Short: "Start a cluster and wait until a Deployment becomes Available",
		Example: `  devcluster up --dir /tmp/dev
  KUBECONFIG=/tmp/dev/kubeconfig kubectl get nodes
  devcluster up --dir /tmp/dev --feature-gates SomeFeature=true --apiserver-arg=--v=4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.dir = *dir
			return up(cmd.Context(), o, func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) })
		},
	}
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up after this long")
	cmd.Flags().StringVar(&o.featureGates, "feature-gates", "", "feature gates of the kube-apiserver, e.g. A=true,B=false")
	cmd.Flags().StringArrayVar(&o.apiserverArgs, "apiserver-arg", nil, "further flag of the kube-apiserver, e.g. --apiserver-arg=--v=4; repeatable")
	return cmd
}

func downCommand(dir *string) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:     "down --dir D",
		Short:   "Stop what up started there, and remove the folder",
		Example: "  devcluster down --dir /tmp/dev\n  devcluster down --dir /tmp/dev --keep-data",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return down(*dir, keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep-data", false, "keep etcd's data, so that the next up has the same objects")
	return cmd
}

func statusCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:     "status --dir D",
		Short:   "Tell which components run; exit code 1 when not all do",
		Example: "  devcluster status --dir /tmp/dev",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := readProcesses(*dir)
			if err != nil {
				return err
			}
			for _, p := range all {
				state := "stopped"
				if p.alive() {
					state = "running"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-24s %-8s pid %d\n", p.Name, state, p.PID)
			}
			if !complete(all) {
				return fmt.Errorf("%s: not all components run; start them with: devcluster up --dir %s", *dir, *dir)
			}
			return nil
		},
	}
}
