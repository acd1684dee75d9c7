// Package cli is the command line: one file per command, and the exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/plumb-gitops/plumb/fluxconfig/flags"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Exit codes of every command.
const (
	exitOK          = 0
	exitFailed      = 1   // something is not as it was asked to be
	exitUsage       = 2   // the command line is wrong
	exitTimeout     = 3   // time ran out first
	exitMemory      = 4   // the memory watch ended it: start it anew
	exitInterrupted = 130 // Ctrl-C
)

// exitError carries an exit code. A nil err means that all was said already.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap gives the cause.
func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error { return &exitError{exitUsage, err} }

// global are the flags that every command has.
type global struct {
	kubeconfig string
	context    string
	out        io.Writer
	err        io.Writer
}

// connect reaches the cluster that the flags name.
func (g *global) connect() (*kube.Cluster, error) {
	config, err := g.config()
	if err != nil {
		return nil, err
	}
	return kube.Connect(config)
}

func (g *global) config() (*rest.Config, error) {
	config, err := kube.LoadConfig(g.kubeconfig, g.context, version)
	if err != nil {
		return nil, usage(err)
	}
	return config, nil
}

// Main runs the command line and gives the process's exit code.
func Main(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	root := newRoot(&global{out: out, err: errOut})
	root.SetArgs(flags.Expand(args))
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	if shown := new(exitError); err != nil && (!errors.As(err, &shown) || shown.err != nil) {
		fmt.Fprintln(errOut, "plumb:", err)
	}
	return code
}

// exitCode is the one place that turns an error into a number.
func exitCode(ctx context.Context, err error) int {
	coded := new(exitError)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case ctx.Err() != nil:
		return exitInterrupted
	default:
		return exitFailed
	}
}

func newRoot(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plumb",
		Short: "Keep Kubernetes clusters true to Git",
		Long: `Plumb fetches what a Git repository says, builds it, and brings a cluster to it:
applies in dependency order, prunes what left, puts back what drifted.`,
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		SilenceErrors:              true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(unknownCommand(cmd, args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetOut(g.out)
	cmd.SetErr(g.err)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	cmd.PersistentFlags().StringVar(&g.kubeconfig, "kubeconfig", "", "kubeconfig file (default $KUBECONFIG, then ~/.kube/config, then the pod's service account)")
	cmd.PersistentFlags().StringVar(&g.context, "context", "", "context of the kubeconfig to use")
	_ = cmd.RegisterFlagCompletionFunc("context", g.completeContexts) // it fails only for a flag that is not there
	cmd.AddCommand(newRun(g), newReconcile(g), newInstall(g), newUninstall(g), newCheck(g),
		newGet(g), newTree(g), newWhy(g), newEvents(g), newLogs(g), newDrift(g), newSuspend(g), newResume(g), newBuild(g), newDiff(g), newVersion(g))
	cmd.AddCommand(newConfig(g))
	return cmd
}

// unknownCommand names the commands that may be meant.
func unknownCommand(root *cobra.Command, name string) error {
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("unknown command %q: did you mean %s? See plumb --help", name, either(near))
	}
	return fmt.Errorf("unknown command %q: see plumb --help", name)
}

// noArgs refuses arguments as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}
