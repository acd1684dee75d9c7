package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// commits is how many commits the large repository has.
const commits = 10_000

// bigRepo is the case of a repository of N files and ten thousand commits, of which
// one small folder is used.
func bigRepo(ctx context.Context, l *lab, n int) error {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("data/%03d/file-%06d.yaml", i%500, i)] = fmt.Sprintf("number: %d\ntext: %x\n", i, i*7919)
	}
	used := []string{"used"}
	for path, content := range folders(used, "1", configMap) {
		files[path] = content
	}
	s, err := l.suite(ctx, files, used, waiting)
	if err != nil {
		return err
	}
	clear(files)
	var history strings.Builder
	for i := range commits {
		text := fmt.Sprintf("number: %d\n", i)
		fmt.Fprintf(&history, "commit refs/heads/main\ncommitter plumb <plumb@example.com> %d +0000\ndata 6\nchange\n", 1_700_000_100+i)
		if i == 0 {
			history.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&history, "M 100644 inline data/000/file-000000.yaml\ndata %d\n%s\n", len(text), text)
	}
	if _, err := s.repo.Git([]byte(history.String()), "fast-import", "--quiet"); err != nil {
		return err
	}
	if err := s.install(ctx, "first-fetch", nil); err != nil {
		return err
	}
	if err := s.commit(ctx, "change-one", folders(used, "2", configMap), used, nil); err != nil {
		return err
	}
	if err := s.commit(ctx, "commit-elsewhere", elsewhere(), used, nil); err != nil {
		return err
	}
	return l.idle(ctx, rest)
}

// indexBytes is how large the index of the large Helm repository is.
const indexBytes = 50 << 20

// index is the case of a Helm repository with an index of 50 MiB and N versions, of
// which one chart is used.
func index(ctx context.Context, l *lab, n int) error {
	dir := filepath.Join(l.work, "charts")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := l.largeIndex(dir, n, "1.0.0"); err != nil {
		return err
	}
	server := l.serve(http.FileServer(http.Dir(dir)))
	defer server.Close()
	s := &suite{lab: l, names: []string{"release"}}
	var err error
	if s.units, err = l.follow(ctx, releasesPath); err != nil {
		return err
	}
	if err := l.declare(ctx, s.names, releaseYAML, libraryYAML(server.URL)); err != nil {
		return err
	}
	if err := s.release(ctx, "install", "1.0.0", s.start); err != nil {
		return err
	}
	if err := l.largeIndex(dir, n, "1.0.0", "1.1.0"); err != nil {
		return err
	}
	if err := s.release(ctx, "upgrade", "1.1.0", func() error { return l.poke(ctx, libraryKind, libraryName) }); err != nil {
		return err
	}
	return l.idle(ctx, rest)
}

// largeIndex publishes the chart in versions, in an index that has so many of others.
func (l *lab) largeIndex(dir string, others int, versions ...string) error {
	if err := l.publish(dir, versions...); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, "index.yaml"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	const perChart = 50
	line := "        - name: something\n          image: registry.example.com/team/something:1.2.3\n"
	filler := strings.Repeat(line, max(0, indexBytes/others-250)/len(line))
	out := bufio.NewWriter(file)
	for i := range others {
		if i%perChart == 0 {
			fmt.Fprintf(out, "  other%d:\n", i/perChart)
		}
		fmt.Fprintf(out, "  - annotations:\n      images: |\n%s    apiVersion: v2\n    created: \"2026-01-01T00:00:00Z\"\n    digest: %x\n    name: other%d\n    urls:\n    - other-%d.tgz\n    version: 1.%d.0\n",
			filler, sha256.Sum256([]byte{byte(i)}), i/perChart, i, i%perChart)
	}
	return errors.Join(out.Flush(), file.Close())
}
