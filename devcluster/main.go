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
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		if ctx.Err() != nil {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "devcluster",
		Short:         "A real Kubernetes control plane on loopback, for demos and tests",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), downCommand(), statusCommand())
	return root
}

func upCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up --dir D",
		Short: "Start a cluster and wait until a Deployment becomes Available",
		Example: `  devcluster up --dir /tmp/dev
  KUBECONFIG=/tmp/dev/kubeconfig kubectl get nodes
  devcluster up --dir /tmp/dev --feature-gates SomeFeature=true --apiserver-arg=--v=4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.dir == "" {
				return errors.New("give --dir, the folder of the cluster")
			}
			return up(cmd.Context(), o, func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) })
		},
	}
	cmd.Flags().StringVar(&o.dir, "dir", "", "folder of the cluster; its kubeconfig and audit.log are in there")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up after this long")
	cmd.Flags().StringVar(&o.featureGates, "feature-gates", "", "feature gates of the kube-apiserver, e.g. A=true,B=false")
	cmd.Flags().StringArrayVar(&o.apiserverArgs, "apiserver-arg", nil, "further flag of the kube-apiserver, e.g. --apiserver-arg=--v=4; repeatable")
	return cmd
}

func downCommand() *cobra.Command {
	var dir string
	var keep bool
	cmd := &cobra.Command{
		Use:     "down --dir D",
		Short:   "Stop what up started there, and remove the folder",
		Example: "  devcluster down --dir /tmp/dev\n  devcluster down --dir /tmp/dev --keep-data",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if dir == "" {
				return errors.New("give --dir, the folder of the cluster")
			}
			return down(dir, keep)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the cluster")
	cmd.Flags().BoolVar(&keep, "keep-data", false, "keep etcd's data, so that the next up has the same objects")
	return cmd
}

func statusCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "status --dir D",
		Short: "Tell which components run; exit code 1 when not all do",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			missing := 0
			for _, p := range readProcesses(dir) {
				state := "running"
				if !p.alive() {
					state = "stopped"
					missing++
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-24s %-8s pid %d\n", p.Name, state, p.PID)
			}
			if missing > 0 || len(readProcesses(dir)) == 0 {
				return errors.New("not all components run")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the cluster")
	return cmd
}
