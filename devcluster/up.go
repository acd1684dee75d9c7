package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type upOptions struct {
	dir           string
	timeout       time.Duration
	featureGates  string
	apiserverArgs []string
}

// cluster is a cluster being started.
type cluster struct {
	upOptions
	ports ports
	token string
	say   func(format string, args ...any)

	running []process
	ended   func(error) // ends the start, with its reason
}

// up starts a cluster in a folder, or leaves one alone that runs there. What it
// started is stopped again when it does not get to the end.
func up(ctx context.Context, o upOptions, say func(string, ...any)) (err error) {
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	all, err := readProcesses(o.dir)
	if err != nil {
		return err
	}
	if complete(all) {
		say("a cluster runs in %s already: KUBECONFIG=%s", o.dir, kubeconfigFile(o.dir))
		return nil
	}
	_, statErr := os.Stat(filepath.Join(o.dir, "etcd"))
	if err := down(o.dir, statErr == nil); err != nil { // what a crash left
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	c := &cluster{upOptions: o, say: say, ended: ended}
	begun := time.Now()
	if err := c.start(ctx); err != nil {
		err = fmt.Errorf("%w%s", err, c.lastWords(ctx)) // before down removes the logs
		return errors.Join(err, down(o.dir, statErr == nil))
	}
	say("ready after %.1f s: export KUBECONFIG=%s", time.Since(begun).Seconds(), kubeconfigFile(o.dir))
	return nil
}

// complete tells whether every component runs.
func complete(all []process) bool {
	for _, p := range all {
		if !p.alive() {
			return false
		}
	}
	return len(all) == len(components)
}

// start brings up one component after the other, each when the one before
// answers.
func (c *cluster) start(ctx context.Context) error {
	if err := c.prepare(); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"etcd", c.startEtcd},
		{"kube-apiserver", c.startAPIServer},
		{"kube-controller-manager, kube-scheduler, kwok", c.startControllers},
		{"a node", c.addNode},
		{"a Deployment becoming Available", c.probe},
	} {
		c.say("%s", step.what)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, c.reason(ctx, err))
		}
	}
	return nil
}

// run starts one component and remembers it before anything else happens.
func (c *cluster) run(name string, args ...string) error {
	p, err := start(c.dir, name, func() { c.ended(errors.New(name + " ended")) }, args...)
	if err != nil {
		return err
	}
	c.running = append(c.running, p)
	if err := writeProcesses(c.dir, c.running); err != nil {
		return errors.Join(err, p.stop(stopGrace)) // down would not know of it
	}
	return nil
}

// reason is why a step failed: what ended the start tells more than the request
// that was under way.
func (c *cluster) reason(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("not ready within %s; a slow machine needs a longer --timeout", c.timeout)
	case errors.Is(cause, context.Canceled):
		return errors.New("interrupted")
	default:
		return cause
	}
}

// lastWords are the last log lines of the components that a failed start may be
// due to. Who interrupts a start needs none.
func (c *cluster) lastWords(ctx context.Context) string {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return ""
	}
	var out strings.Builder
	for _, p := range c.suspects() {
		state := "still runs"
		if !p.alive() {
			state = "ended"
		}
		fmt.Fprintf(&out, "\n%s %s; its last lines:\n%s", p.Name, state, lastLines(logFile(c.dir, p.Name), 10))
	}
	return out.String()
}

// suspects are the components that ended. Where none did, they are what was
// started last: the controllers come together, after etcd and the API server.
func (c *cluster) suspects() []process {
	var ended []process
	for _, p := range c.running {
		if !p.alive() {
			ended = append(ended, p)
		}
	}
	if len(ended) > 0 || len(c.running) == 0 {
		return ended
	}
	return c.running[min(len(c.running)-1, 2):]
}

func lastLines(file string, n int) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (c *cluster) startEtcd(ctx context.Context) error {
	err := c.run("etcd",
		"--name=dev", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+c.ports.url("http", c.ports.etcd), "--advertise-client-urls="+c.ports.url("http", c.ports.etcd),
		"--listen-peer-urls="+c.ports.url("http", c.ports.peer), "--initial-advertise-peer-urls="+c.ports.url("http", c.ports.peer),
		"--initial-cluster=dev="+c.ports.url("http", c.ports.peer), "--force-new-cluster",
		"--quota-backend-bytes=8589934592", "--max-request-bytes=10485760")
	if err != nil {
		return err
	}
	return c.answers(ctx, c.ports.url("http", c.ports.etcd)+"/health", nil)
}

func (c *cluster) startAPIServer(ctx context.Context) error {
	args := []string{
		"--etcd-servers=" + c.ports.url("http", c.ports.etcd),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.api), "--cert-dir=" + c.path("pki"),
		"--tls-cert-file=" + c.path("pki/server.crt"), "--tls-private-key-file=" + c.path("pki/server.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--api-audiences=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.path("pki/sa.key"), "--service-account-signing-key-file=" + c.path("pki/sa.key"),
		"--token-auth-file=" + c.path("tokens.csv"), "--anonymous-auth=false",
		"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/12", "--allow-privileged=true",
		"--endpoint-reconciler-type=none",
		"--audit-policy-file=" + c.path("audit.yaml"), "--audit-log-path=" + c.path("audit.log"), "--audit-log-mode=blocking",
		"--audit-log-maxsize=1048576", // MiB, so never another file: who counts requests reads one
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
	}
	if c.featureGates != "" {
		args = append(args, "--feature-gates="+c.featureGates)
	}
	if err := c.run("kube-apiserver", append(args, c.apiserverArgs...)...); err != nil {
		return err
	}
	return c.apiReady(ctx)
}

func (c *cluster) startControllers(ctx context.Context) error {
	if err := c.releaseNode(ctx); err != nil {
		return err
	}
	kubeconfig := kubeconfigFile(c.dir)
	auth := []string{"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig, "--leader-elect=false", "--kube-api-qps=2000", "--kube-api-burst=4000"}
	err := c.run("kube-controller-manager", append([]string{
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.controllers), "--cert-dir=" + c.path("pki/controllers"),
		"--service-account-private-key-file=" + c.path("pki/sa.key"), "--root-ca-file=" + c.path("pki/ca.crt"), "--use-service-account-credentials",
		"--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20", "--concurrent-namespace-syncs=20", "--concurrent-gc-syncs=40",
	}, auth...)...)
	if err != nil {
		return err
	}
	err = c.run("kube-scheduler", append([]string{
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.scheduler), "--cert-dir=" + c.path("pki/scheduler"),
	}, auth...)...)
	if err != nil {
		return err
	}
	return c.run("kwok", "--kubeconfig="+kubeconfig, "--manage-all-nodes=true", "--node-lease-duration-seconds=40",
		"--config="+c.path("stages.yaml"), "--server-address="+c.ports.address(c.ports.kwok))
}
