package main

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
%[4]s`, namespace, name, version, deployment(namespace, name, version, ""))
}

// deployment is a Deployment of no pods; extra is YAML below the pods' spec. With
// some, there has to be one pod.
func deployment(namespace, name, version, extra string) string {
	replicas := 0
	if extra != "" {
		replicas = 1
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s, app.kubernetes.io/version: "%[3]s"}}
spec:
  replicas: %[4]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      containers: [{name: app, image: "example.com/app:%[3]s", ports: [{containerPort: 80}], resources: {requests: {cpu: 1m, memory: 1Mi}}}]
%[5]s`, namespace, name, version, replicas, extra)
}

func bareDeployment(namespace, name, version string) string {
	return deployment(namespace, name, version, "")
}

// configMap is a ConfigMap with a value.
func configMap(namespace, name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {value: %q, text: %q}\n", name, namespace, value, strings.Repeat("some text ", 20))
}

// manifest writes one thing of an app into a namespace, in a version.
type manifest func(namespace, name, version string) string

// named are so many names.
func named(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%05d", prefix, i)
	}
	return names
}

// folders is a folder for each name.
func folders(names []string, version string, what manifest) map[string]string {
	files := map[string]string{}
	for _, name := range names {
		files[name+"/app.yaml"] = what(units, name, version)
		files[name+"/kustomization.yaml"] = "resources: [app.yaml]\n"
	}
	return files
}

// partSize is how many objects a file of a large folder has.
const partSize = 100

// folder is one folder for all names.
func folder(path string, names []string, version string, what manifest) map[string]string {
	files := map[string]string{}
	var parts []string
	for i := 0; i < len(names); i += partSize {
		part := fmt.Sprintf("part-%04d.yaml", i/partSize)
		parts = append(parts, part)
		files[path+"/"+part] = documents(units, names[i:min(len(names), i+partSize)], version, what)
	}
	files[path+"/kustomization.yaml"] = "resources: [" + strings.Join(parts, ", ") + "]\n"
	return files
}

func documents(namespace string, names []string, version string, what manifest) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = what(namespace, name, version)
	}
	return strings.Join(all, "\n---\n")
}

// floorObjects are the same objects for a floor.
func floorObjects(names []string, version string, what manifest) ([]*unstructured.Unstructured, error) {
	return objects(documents(bareNS, names, version, what))
}
