package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/testgit"
)

// broken is an app whose pod no node takes.
func broken(namespace, name, version string) string {
	return deployment(namespace, name, version, "      nodeSelector: {no: node}\n")
}

// failing is the case of some that never become healthy: of N, so many or a share.
// The healthy ones are upgraded without the others, and then beside them.
func failing(share func(n int) int) func(context.Context, *lab, int) error {
	return func(ctx context.Context, l *lab, n int) error {
		names := named("app", n)
		bad, good := names[:share(n)], names[share(n):]
		files := folders(good, "1", app)
		for name, content := range folders(bad, "1", broken) {
			files[name] = content
		}
		s, err := l.suite(ctx, files, good, waiting)
		if err != nil {
			return err
		}
		if err := s.install(ctx, "install-healthy", nil); err != nil {
			return err
		}
		var alone float64
		if err := s.commit(ctx, "upgrade-healthy-alone", folders(good, "2", app), good, nil, func(r *Row) { alone = r.Seconds }); err != nil {
			return err
		}
		if err := l.declare(ctx, bad, waiting); err != nil {
			return err
		}
		if _, err := s.units.await(ctx, bad, time.Now(), func(s state) bool { return !s.ready && s.reason == "Progressing" }); err != nil {
			return err
		}
		return s.commit(ctx, "upgrade-healthy-beside", folders(good, "3", app), good, nil, func(r *Row) {
			r.Extra = merge(merge(r.Extra, "failing", float64(len(bad))), "ratio_to_alone", round(r.Seconds/alone))
		})
	}
}

// restart is the case of an engine that is killed, while something is committed, and
// comes back: with its storage, and without. All have to be looked at, nothing to
// be written.
func restart(ctx context.Context, l *lab, n int) error {
	names := named("app", n)
	s, err := l.suite(ctx, folders(names, "1", app), names, waiting)
	if err != nil {
		return err
	}
	if err := s.install(ctx, "install", nil); err != nil {
		return err
	}
	for _, name := range []string{"restart-warm", "restart-cold"} {
		l.engine.kill()
		if name == "restart-cold" {
			if err := os.RemoveAll(l.engine.storage); err != nil {
				return err
			}
		}
		l.engine = nil
		hash, err := s.repo.Commit("main", testgit.Files(elsewhere()))
		if err != nil {
			return err
		}
		err = s.installed(ctx, name, readyAt("main@sha1:"+hash), nil, func(r *Row) {
			r.Extra = merge(r.Extra, "workload_writes", float64(r.Requests["plumb"]["patch"]))
		})
		if err != nil {
			return err
		}
	}
	return l.idle(ctx, rest)
}

// perUnit is how many ConfigMaps a Kustomization of the storm has.
const perUnit = 50

// driftStorm is the case of N objects that somebody changes all at once.
func driftStorm(ctx context.Context, l *lab, n int) error {
	items, files, names := named("item", n), map[string]string{}, []string{}
	for i := 0; i < n; i += perUnit {
		name := fmt.Sprintf("set-%05d", i/perUnit)
		names = append(names, name)
		for path, content := range folder(name, items[i:min(n, i+perUnit)], "1", configMap) {
			files[path] = content
		}
	}
	floors, err := l.floors(ctx, items, configMap, "1", "drifted", "1")
	if err != nil {
		return err
	}
	s, err := l.suite(ctx, files, names, waiting)
	if err != nil {
		return err
	}
	if err := s.install(ctx, "install", floors[0]); err != nil {
		return err
	}
	drifted, err := objects(documents(units, items, "drifted", configMap))
	if err != nil {
		return err
	}
	return s.storm(ctx, items, drifted, floors[2])
}

// storm measures from the first change until all are as they were.
func (s *suite) storm(ctx context.Context, items []string, drifted []*unstructured.Unstructured, floor *floor) error {
	seen, err := s.follow(ctx, "/api/v1/namespaces/"+units+"/configmaps")
	if err != nil {
		return err
	}
	defer seen.stop()
	m, err := s.begin(ctx, "storm")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	wrote := make(chan error, 1)
	go func() { wrote <- s.write(ctx, drifted) }()
	is := func(value string) func(state) bool { return func(s state) bool { return s.revision == value } }
	changed, err := seen.await(ctx, items, m.begun, is("drifted"))
	if err != nil {
		return err
	}
	if err := <-wrote; err != nil {
		return err
	}
	back, err := seen.await(ctx, items, m.begun, is("1"))
	if err != nil {
		return err
	}
	m.took(back)
	m.extra("last_change_s", quantile(changed, 1))
	return m.end(ctx, floor)
}

// diff is the case of `plumb diff` over a whole repository: nothing changed, and all.
func diff(ctx context.Context, l *lab, n int) error {
	names := named("app", n)
	s, err := l.suite(ctx, folders(names, "1", app), names, waiting)
	if err != nil {
		return err
	}
	if err := s.install(ctx, "install", nil); err != nil {
		return err
	}
	if err := l.engine.stop(); err != nil {
		return err
	}
	l.engine = nil
	for version, name := range map[string]string{"1": "unchanged", "2": "all-changed"} {
		dir := filepath.Join(l.work, "tree-"+version)
		if err := writeTree(dir, folders(names, version, app)); err != nil {
			return err
		}
		if err := l.command(ctx, name, "diff", "--path", dir, "--namespace", units, "--kubeconfig", l.kubeconfig, "--storage-path", filepath.Join(l.work, "diff")); err != nil {
			return err
		}
	}
	return nil
}

func writeTree(dir string, files map[string]string) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// command measures a command of plumb as a step.
func (l *lab) command(ctx context.Context, name string, args ...string) error {
	m, err := l.begin(ctx, name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, l.binary("plumb"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("plumb %s: %w\n%s", args[0], err, out[max(0, len(out)-2000):])
	}
	m.row.Seconds = round(time.Since(m.begun).Seconds())
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	m.row.Peak = round(float64(usage.Maxrss) / 1024)
	m.extra("output_kib", round(float64(len(out))/1024))
	used := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return m.end(ctx, nil, func(r *Row) { r.CPU["engine"], r.CPU["bench"] = round(used), round(r.CPU["bench"]-used) })
}
