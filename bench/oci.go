package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/testregistry"
)

var artifactKind = sourcev1.GroupVersion.WithKind(sourcev1.OCIRepositoryKind)

// listening is the line with which the registry says that it is there.
var listening = regexp.MustCompile(`listening on ([0-9.]+:[0-9]+)`)

// registry starts that of the Distribution project, and returns its address.
func (l *lab) registry(ctx context.Context) (string, error) {
	config := filepath.Join(l.work, "registry.yaml")
	text := "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {inmemory: {}}\nhttp: {addr: \"127.0.0.1:0\"}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(l.root, ".dev", "bin", "registry"), "serve", config)
	said, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() { // it must not wait for a reader
				}
				_ = cmd.Wait() // it ends with the case
			}()
			return found[1], nil
		}
	}
	return "", errors.Join(errors.New("the registry does not start"), cmd.Wait())
}

// push pushes a folder as the artifact of an app.
func push(address, app, version string) error {
	repository, err := name.NewRepository(address+"/"+app, name.Insecure)
	if err != nil {
		return err
	}
	packed, err := pack(folders([]string{app}, version, configMap))
	if err != nil {
		return err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), testregistry.ConfigType)
	image, err = mutate.Append(image, mutate.Addendum{Layer: static.NewLayer(packed, testregistry.ContentType)})
	if err != nil {
		return err
	}
	return remote.Write(repository.Tag("latest"), mutate.Annotations(image, map[string]string{"org.opencontainers.image.revision": version}).(v1.Image))
}

func pack(files map[string]string) ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	packed := tar.NewWriter(zipped)
	for path, content := range files {
		if err := packed.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := packed.Write([]byte(content)); err != nil {
			return nil, err
		}
	}
	err := errors.Join(packed.Close(), zipped.Close())
	return out.Bytes(), err
}

func artifactYAML(address, name string) string {
	return fmt.Sprintf("apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: %s, namespace: %s}\nspec: {interval: 10m, insecure: true, url: \"oci://%s/%s\", ref: {tag: latest}}\n", name, units, address, name)
}

// artifacts is the case mttp-oci: one artifact for each app, of one ConfigMap.
func artifacts(ctx context.Context, l *lab, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	address, err := l.registry(ctx)
	if err != nil {
		return err
	}
	names := named("app", n)
	floors, err := l.floors(ctx, names, configMap, "1", "2")
	if err != nil {
		return err
	}
	pushAll := func(version string) error {
		return parallel(ctx, names, func(_ context.Context, name string) error { return push(address, name, version) })
	}
	if err := pushAll("1"); err != nil {
		return err
	}
	s := &suite{lab: l, names: names}
	if s.units, err = l.follow(ctx, kustomizationsPath); err != nil {
		return err
	}
	err = l.declare(ctx, names, func(name string) string {
		return artifactYAML(address, name) + "\n---\n" + unitYAML(name, name, "  wait: true\n  sourceRef: {kind: OCIRepository, name: "+name+"}")
	})
	if err != nil {
		return err
	}
	if err := s.install(ctx, "install", floors[0]); err != nil {
		return err
	}
	return s.pushed(ctx, func() error { return pushAll("2") }, floors[1])
}

// pushed measures from new artifacts until all ConfigMaps have what is in them.
func (s *suite) pushed(ctx context.Context, push func() error, floor *floor) error {
	seen, err := s.follow(ctx, "/api/v1/namespaces/"+units+"/configmaps")
	if err != nil {
		return err
	}
	defer seen.stop()
	if err := push(); err != nil {
		return err
	}
	m, err := s.begin(ctx, "upgrade-all")
	if err != nil {
		return err
	}
	if err := s.poke(ctx, artifactKind, s.names...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	took, err := seen.await(ctx, s.names, m.begun, func(s state) bool { return s.revision == "2" })
	if err != nil {
		return err
	}
	m.took(took)
	return m.end(ctx, floor)
}
