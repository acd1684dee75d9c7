package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"success", t.Context(), nil, exitOK},
		{"success in the moment of Ctrl-C", stopped, nil, exitOK},
		{"any error", t.Context(), errBroken, exitFailed},
		{"bad usage", t.Context(), usage(errBroken), exitUsage},
		{"bad usage inside of another error", t.Context(), fmt.Errorf("read: %w", usage(errBroken)), exitUsage},
		{"the outer of two codes", t.Context(), &exitError{exitTimeout, usage(errBroken)}, exitTimeout},
		{"a code with nothing left to say", t.Context(), &exitError{code: exitFailed}, exitFailed},
		{"any error after Ctrl-C", stopped, errBroken, exitInterrupted},
		{"bad usage after Ctrl-C", stopped, usage(errBroken), exitUsage},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := exitCode(test.ctx, test.err); got != test.want {
				t.Errorf("exit code is %d, want %d", got, test.want)
			}
		})
	}
}

func TestExitError(t *testing.T) {
	t.Parallel()
	if err := usage(errBroken); err.Error() != errBroken.Error() || !errors.Is(err, errBroken) {
		t.Errorf("error is %v, want %v", err, errBroken)
	}
	if err := (&exitError{code: 7}); err.Error() != "exit code 7" || err.Unwrap() != nil {
		t.Errorf("error is %v with cause %v", err, err.Unwrap())
	}
}

func TestMainExitCodes(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	tests := []struct {
		name string
		args string
		code int
		out  string // part of standard output
		err  string // part of standard error
	}{
		{name: "no command shows the help", args: "", code: exitOK, out: "Available Commands"},
		{name: "help", args: "reconcile --help", code: exitOK, out: "Exit codes: 0 all ready"},
		{name: "version", args: "version", code: exitOK, out: "plumb " + version},
		{name: "version as JSON", args: "version -o json", code: exitOK, out: `"version":"` + version + `"`},
		{name: "version as YAML", args: "version -o yaml", code: exitOK, out: "version: " + version},
		{name: "version in a form that there is none of", args: "version -o xml", code: exitUsage, err: "plumb: -o xml: want text, json or yaml"},
		{name: "a command that there is none of", args: "nonsense", code: exitUsage, err: `plumb: unknown command "nonsense": see plumb --help`},
		{name: "a flag that there is none of", args: "run --bogus", code: exitUsage, err: "plumb: unknown flag: --bogus"},
		{name: "a flag of another command", args: "version --once", code: exitUsage, err: "--once"},
		{name: "a flag whose value is no duration", args: "reconcile --once --timeout soon", code: exitUsage, err: "--timeout"},
		{name: "a flag without its value", args: "reconcile --once --timeout", code: exitUsage, err: "--timeout"},
		{name: "an argument", args: "run now", code: exitUsage, err: `plumb: plumb run takes no arguments, got "now"`},
		{name: "reconcile without --once", args: "reconcile", code: exitUsage, err: "--once"},
		{name: "reconcile in a form that there is none of", args: "reconcile --once -o xml", code: exitUsage, err: "want text, json or yaml"},
		{name: "both forms of reconcile", args: "reconcile ks/apps --once", code: exitUsage, err: "--once works on everything"},
		{name: "a flag for objects with --once", args: "reconcile --once --with-source", code: exitUsage, err: "--with-source goes with KIND/NAME"},
		{name: "a flag for everything with an object", args: "reconcile ks/apps --dry-run", code: exitUsage, err: "--dry-run goes with --once"},
		{name: "a command with a typo", args: "recouncile", code: exitUsage, err: `plumb: unknown command "recouncile": did you mean reconcile?`},
		{name: "get without a kind", args: "get", code: exitUsage, err: "want a kind, such as kustomizations; the kinds of Plumb are bucket"},
		{name: "get in a form that there is none of", args: "get ks -o xml", code: exitUsage, err: "-o xml: want table, wide, json, yaml or name"},
		{name: "reconcile of a file that is missing", args: "reconcile --once -f " + missing, code: exitUsage, err: missing},
		{name: "a log level that there is none of", args: "reconcile --once --log-level loud", code: exitUsage, err: "want debug, info or error"},
		{name: "a log format that there is none of", args: "run --log-format xml", code: exitUsage, err: "want json or text"},
		{name: "a kubeconfig that is missing", args: "install --crds-only --kubeconfig " + missing, code: exitUsage, err: "give --kubeconfig FILE or set KUBECONFIG"},
		{name: "install of everything without an image", args: "install --export", code: exitUsage, err: "give --image"},
		{name: "install that only prints", args: "install --crds-only --export", code: exitOK, out: "kind: CustomResourceDefinition"},
		{name: "uninstall without --yes", args: "uninstall", code: exitUsage, err: "give --yes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out, errOut strings.Builder
			if code := Main(strings.Fields(test.args), &out, &errOut); code != test.code {
				t.Errorf("exit code is %d, want %d", code, test.code)
			}
			if !strings.Contains(out.String(), test.out) {
				t.Errorf("standard output %q lacks %q", out.String(), test.out)
			}
			if !strings.Contains(errOut.String(), test.err) || (test.err == "" && errOut.Len() > 0) {
				t.Errorf("standard error is %q, want %q", errOut.String(), test.err)
			}
		})
	}
}
