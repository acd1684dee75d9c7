package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/testgit"
)

// units is the namespace of the objects that Plumb works on, and of what they
// make; bareNS is the floor's.
const (
	units  = "units"
	bareNS = "floor"
)

// app is one small app in a version: four objects, as YAML documents.
func app(namespace, name, version string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s, app.kubernetes.io/version: "%[3]s"}}
---
apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s, app.kubernetes.io/version: "%[3]s"}}
spec: {selector: {app: %[2]s}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s, app.kubernetes.io/version: "%[3]s"}}
spec: {rules: [{host: %[2]s.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[2]s, port: {number: 80}}}}]}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s, app.kubernetes.io/version: "%[3]s"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      serviceAccountName: %[2]s
      containers: [{name: app, image: "example.com/app:%[3]s", ports: [{containerPort: 80}], resources: {requests: {cpu: 1m, memory: 1Mi}}}]
`, namespace, name, version)
}

func appNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("app-%04d", i)
	}
	return names
}

// appFiles is a folder for each app.
func appFiles(names []string, version string) map[string]string {
	files := map[string]string{}
	for _, name := range names {
		files[name+"/app.yaml"] = app(units, name, version)
		files[name+"/kustomization.yaml"] = "resources: [app.yaml]\n"
	}
	return files
}

// appObjects are all apps, for a floor.
func appObjects(names []string, version string) (out []*unstructured.Unstructured, err error) {
	for _, name := range names {
		objs, err := objects(app(bareNS, name, version))
		if err != nil {
			return nil, err
		}
		out = append(out, objs...)
	}
	return out, nil
}

const (
	kustomizationsPath = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/" + units + "/kustomizations"
	repositoryName     = "repo"
)

// repositoryYAML is a GitRepository.
func repositoryYAML(url string) string {
	return fmt.Sprintf(`apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: %s, namespace: %s}
spec: {interval: 5s, url: "%s", ref: {branch: main}}
`, repositoryName, units, url)
}

// unitYAML is a Kustomization of a folder of the repository; extra is YAML below
// spec.
func unitYAML(name, path, extra string) string {
	return fmt.Sprintf(`apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %s, namespace: %s}
spec:
  interval: 1m
  path: ./%s
  prune: true
  sourceRef: {kind: GitRepository, name: %s}
%s
`, name, units, path, repositoryName, extra)
}

var sourceKind = sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind)

// declare makes the objects that Plumb works on: one Kustomization a folder.
func (l *lab) declare(ctx context.Context, url string, names []string, extra string) error {
	documents := []string{repositoryYAML(url)}
	for _, name := range names {
		documents = append(documents, unitYAML(name, name, extra))
	}
	objs, err := objects(strings.Join(documents, "\n---\n"))
	if err != nil {
		return err
	}
	return l.write(ctx, objs)
}

// poke has the source looked at now, as a webhook would.
func (l *lab) poke(ctx context.Context) error {
	r, err := l.cluster.Resource(sourceKind, units)
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"%d"}}}`, time.Now().UnixNano())
	_, err = r.Patch(ctx, repositoryName, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// apps is the state of a case about many small apps.
type apps struct {
	*lab
	names []string
	repo  *testgit.Repository
	units *follower
}

// kustomizations is the case mttp-kustomization: from a commit to Ready, for N
// folders of one repository.
func kustomizations(ctx context.Context, l *lab, n int) error {
	a, floors, err := newApps(ctx, l, n)
	if err != nil {
		return err
	}
	defer a.units.stop()
	if err := a.install(ctx, floors[0]); err != nil {
		return err
	}
	if err := a.commit(ctx, "upgrade-all", appFiles(a.names, "2"), a.names, floors[1]); err != nil {
		return err
	}
	one := a.names[n/2 : n/2+1]
	if err := a.commit(ctx, "change-one", appFiles(one, "3"), one, nil); err != nil {
		return err
	}
	if err := a.commit(ctx, "commit-elsewhere", map[string]string{"README.md": "changed"}, nil, nil); err != nil {
		return err
	}
	return l.idle(ctx, 20*time.Second)
}

// newApps measures the floors and declares the apps.
func newApps(ctx context.Context, l *lab, n int) (*apps, []*floor, error) {
	a := &apps{lab: l, names: appNames(n)}
	for _, ns := range []string{units, bareNS} {
		if err := l.namespace(ctx, ns); err != nil {
			return nil, nil, err
		}
	}
	var floors []*floor
	for _, version := range []string{"1", "2"} {
		objs, err := appObjects(a.names, version)
		if err != nil {
			return nil, nil, err
		}
		f, err := l.bare(ctx, bareNS, objs)
		if err != nil {
			return nil, nil, err
		}
		floors = append(floors, f)
	}
	repo, url, err := l.repository(repositoryName, appFiles(a.names, "1"))
	if err != nil {
		return nil, nil, err
	}
	a.repo = repo
	if a.units, err = l.follow(ctx, kustomizationsPath); err != nil {
		return nil, nil, err
	}
	return a, floors, l.declare(ctx, url, a.names, "  wait: true")
}

// install measures from the start of the engine to all Ready.
func (a *apps) install(ctx context.Context, floor *floor) error {
	s, err := a.begin("install")
	if err != nil {
		return err
	}
	if err := a.start(); err != nil {
		return err
	}
	took, err := a.all(ctx, s, a.names, isReady)
	if err != nil {
		return err
	}
	s.took(took)
	return s.end(ctx, floor)
}

// commit measures from a commit to Ready at it: of those that it is about, and of
// all, which have to say that they looked.
func (a *apps) commit(ctx context.Context, name string, files map[string]string, about []string, floor *floor) error {
	hash, err := a.repo.Commit("main", testgit.Files(files))
	if err != nil {
		return err
	}
	s, err := a.begin(name)
	if err != nil {
		return err
	}
	if err := a.poke(ctx); err != nil {
		return err
	}
	there := readyAt("main@sha1:" + hash)
	if about != nil {
		took, err := a.all(ctx, s, about, there)
		if err != nil {
			return err
		}
		s.took(took)
	}
	everybody, err := a.all(ctx, s, a.names, there)
	if err != nil {
		return err
	}
	if about == nil {
		s.took(everybody)
	}
	s.row.Extra = map[string]float64{"all_at_revision_s": quantile(everybody, 1)}
	return s.end(ctx, floor)
}

// all waits for some of the apps.
func (a *apps) all(ctx context.Context, s *step, names []string, done func(state) bool) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	return a.units.await(ctx, names, s.begun, done)
}
