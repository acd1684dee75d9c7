package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

const (
	releasesPath = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/" + units + "/helmreleases"
	chartName    = "web"
	libraryName  = "charts"
)

var libraryKind = sourcev1.GroupVersion.WithKind(sourcev1.HelmRepositoryKind)

// templates are those of a chart of podinfo's size.
var templates = map[string]string{
	"_helpers.tpl": `{{- define "labels" -}}
app: {{ .Release.Name }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
`,
	"account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {{ .Release.Name }}\n  labels:\n    {{- include \"labels\" . | nindent 4 }}\n",
	"config.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  labels:\n    {{- include \"labels\" . | nindent 4 }}\ndata:\n  message: {{ .Values.message | quote }}\n",
	"service.yaml": "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\n  labels:\n    {{- include \"labels\" . | nindent 4 }}\nspec:\n  selector: {app: {{ .Release.Name }}}\n  ports: [{port: 80}]\n",
	"ingress.yaml": "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {{ .Release.Name }}\n  labels:\n    {{- include \"labels\" . | nindent 4 }}\nspec:\n  rules: [{host: {{ .Release.Name }}.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: {{ .Release.Name }}, port: {number: 80}}}}]}}]\n",
	"deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      serviceAccountName: {{ .Release.Name }}
      containers:
      - name: web
        image: "example.com/web:{{ .Chart.Version }}"
        {{- range .Values.probes }}
        {{ .name }}: {httpGet: {path: {{ .path }}, port: 80}}
        {{- end }}
        resources:
          {{- toYaml .Values.resources | nindent 10 }}
`,
}

const chartValues = `replicas: 0
message: greetings
probes:
- {name: livenessProbe, path: /healthz}
- {name: readinessProbe, path: /readyz}
resources: {requests: {cpu: 1m, memory: 1Mi}}
`

// pack packs the chart in a version.
func (l *lab) pack(version string) ([]byte, error) {
	c := &chart.Chart{
		Metadata: &chart.Metadata{APIVersion: "v2", Name: chartName, Version: version},
		Raw:      []*chart.File{{Name: "values.yaml", Data: []byte(chartValues)}},
		Files:    []*chart.File{{Name: "README.md", Data: []byte(strings.Repeat("What the chart is for, and how it is used.\n", 200))}},
	}
	for name, text := range templates {
		c.Templates = append(c.Templates, &chart.File{Name: "templates/" + name, Data: []byte(text)})
	}
	file, err := chartutil.Save(c, l.work)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// publish puts the chart, in versions, and an index of them where a file server has
// its files.
func (l *lab) publish(dir string, versions ...string) error {
	index := "apiVersion: v1\nentries:\n  " + chartName + ":\n"
	for _, version := range versions {
		raw, err := l.pack(version)
		if err != nil {
			return err
		}
		file := chartName + "-" + version + ".tgz"
		if err := os.WriteFile(filepath.Join(dir, file), raw, 0o600); err != nil {
			return err
		}
		index += fmt.Sprintf("  - {apiVersion: v2, name: %s, version: %s, urls: [%s], digest: %x, created: \"2026-01-01T00:00:00Z\"}\n", chartName, version, file, sha256.Sum256(raw))
	}
	return os.WriteFile(filepath.Join(dir, "index.yaml"), []byte(index), 0o600)
}

func libraryYAML(url string) string {
	return fmt.Sprintf("apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: %s, namespace: %s}\nspec: {interval: 10m, url: %q}\n", libraryName, units, url)
}

func releaseYAML(name string) string {
	return fmt.Sprintf(`apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: %s, namespace: %s}
spec:
  interval: 10m
  chart: {spec: {chart: %s, version: "1.x", sourceRef: {kind: HelmRepository, name: %s}}}
`, name, units, chartName, libraryName)
}

// releases is the case mttp-helm: N releases of one chart, on a cluster with so many
// further definitions.
func releases(definitions int) func(context.Context, *lab, int) error {
	return func(ctx context.Context, l *lab, n int) error {
		if err := l.define(ctx, definitions); err != nil {
			return err
		}
		dir := filepath.Join(l.work, "charts")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := l.publish(dir, "1.0.0"); err != nil {
			return err
		}
		server := l.serve(http.FileServer(http.Dir(dir)))
		defer server.Close()
		s := &suite{lab: l, names: named("release", n)}
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
		if err := l.publish(dir, "1.0.0", "1.1.0"); err != nil {
			return err
		}
		if err := s.release(ctx, "upgrade-all", "1.1.0", func() error { return l.poke(ctx, libraryKind, libraryName) }); err != nil {
			return err
		}
		return l.idle(ctx, rest)
	}
}

// release measures until all releases are Ready with a version of the chart, and
// then the floor: what they consist of now, their records included, written once.
func (s *suite) release(ctx context.Context, name, version string, cause func() error) error {
	m, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	if err := cause(); err != nil {
		return err
	}
	took, err := s.all(ctx, m, s.names, func(st state) bool { return isReady(st) && st.revision == version })
	if err != nil {
		return err
	}
	m.took(took)
	if err := m.collect(ctx, nil); err != nil {
		return err
	}
	objs, err := s.released(ctx)
	if err != nil {
		return err
	}
	f, err := s.bare(ctx, bareNS, objs)
	if err != nil {
		return err
	}
	m.beside(f)
	return s.add(m.row)
}

// released are the objects of all releases as they are now, with the records, for
// the floor's namespace.
func (l *lab) released(ctx context.Context) (all []*unstructured.Unstructured, err error) {
	client, err := kubernetes.NewForConfigAndClient(l.cluster.Config, l.cluster.HTTP)
	if err != nil {
		return nil, err
	}
	records := driver.NewSecrets(client.CoreV1().Secrets(units))
	found, err := storage.Init(records).ListDeployed()
	if err != nil {
		return nil, err
	}
	for _, release := range found {
		objs, err := objects("\n" + release.Manifest)
		if err != nil {
			return nil, err
		}
		all = append(all, objs...)
	}
	secrets, err := client.CoreV1().Secrets(units).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil {
		return nil, err
	}
	for _, secret := range secrets.Items {
		secret.ObjectMeta = metav1.ObjectMeta{Name: secret.Name, Labels: secret.Labels}
		secret.SetGroupVersionKind(libraryKind.GroupVersion().WithKind("Secret"))
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&secret)
		if err != nil {
			return nil, err
		}
		fields["apiVersion"] = "v1"
		all = append(all, &unstructured.Unstructured{Object: fields})
	}
	for _, obj := range all {
		obj.SetNamespace(bareNS)
	}
	return all, nil
}

// define makes definitions that nobody uses, and waits until they are served.
func (l *lab) define(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	var all []*unstructured.Unstructured
	for i := range n {
		objs, err := objects(fmt.Sprintf(`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.g%[1]d.example.com},
 spec: {group: g%[1]d.example.com, scope: Namespaced, names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true,
 schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}}]}}`, i))
		if err != nil {
			return err
		}
		all = append(all, objs...)
	}
	watched, err := l.follow(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
	if err != nil {
		return err
	}
	defer watched.stop()
	if err := l.write(ctx, all); err != nil {
		return err
	}
	names := make([]string, len(all))
	for i, obj := range all {
		names[i] = obj.GetName()
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	_, err = watched.await(ctx, names, time.Now(), func(s state) bool { return s.established })
	return err
}
