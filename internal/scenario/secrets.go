package scenario

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// planted are the credentials that a test gave to the cluster. None of them may be
// told by anything that Plumb writes: log, event, status, metric.
type planted struct {
	mu     sync.Mutex
	values map[string]string // where it is from, by value
}

// credentials are the keys of Secrets whose values nobody may see. Other keys hold
// certificates, names and addresses.
var credentials = []string{
	"password", "token", "bearerToken", "accountKey", "secretkey", "sessiontoken", "sasKey", "identity", "clientSecret",
	"clientCertificate", "clientCertificatePassword", "tls.key", "keyFile", "githubAppPrivateKey", "age.agekey", ".dockerconfigjson",
}

// shortest is how long a value has to be so that finding it is no chance.
const shortest = 8

// plant notes the credentials of a Secret.
func (p *planted) plant(obj *unstructured.Unstructured) {
	if obj.GetKind() != "Secret" {
		return
	}
	plain, _, _ := unstructured.NestedStringMap(obj.Object, "stringData")
	coded, _, _ := unstructured.NestedStringMap(obj.Object, "data")
	all := map[string]string{}
	for key, value := range coded {
		raw, _ := base64.StdEncoding.DecodeString(value) // the API server refuses what is none
		all[key] = string(raw)
	}
	maps.Copy(all, plain)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range credentials {
		for _, value := range telling(key, all[key]) {
			p.values[value] = "Secret/" + obj.GetName() + " " + key
		}
	}
}

// telling is what gives a credential away: of keys in PEM each line, of logins for
// registries the passwords.
func telling(key, value string) (parts []string) {
	switch {
	case key == ".dockerconfigjson":
		var login struct {
			Auths map[string]struct{ Password, Auth string }
		}
		if json.Unmarshal([]byte(value), &login) == nil {
			for _, a := range login.Auths {
				parts = append(parts, a.Password, a.Auth)
			}
		}
	case strings.Contains(value, "-----BEGIN"):
		for line := range strings.Lines(value) {
			if !strings.HasPrefix(line, "-----") {
				parts = append(parts, strings.TrimSpace(line))
			}
		}
	default:
		parts = []string{strings.TrimSpace(value), base64.StdEncoding.EncodeToString([]byte(value))}
	}
	return slices.DeleteFunc(parts, func(s string) bool { return len(s) < shortest })
}

// told names what a text gives away, sorted; never the value.
func (p *planted) told(text string) (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for value, where := range p.values {
		if strings.Contains(text, value) {
			names = append(names, where)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (p *planted) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.values) > 0
}

// tellsNothing fails the test if a credential that it planted is to be seen anywhere.
func (w *World) tellsNothing() {
	w.tb.Helper()
	if !w.planted.any() {
		return
	}
	w.hides("the metrics", w.metrics())
	w.hides("the log", w.Log())
	for kind, gvk := range kinds {
		if kind != "Event" && !strings.HasSuffix(gvk.Group, ".fluxcd.io") && gvk.Group != "clusterconfig.azure.com" {
			continue
		}
		r, err := w.Resource(gvk, "")
		if err != nil {
			continue // a kind that this test did not install
		}
		list, err := r.List(context.Background(), metav1.ListOptions{})
		if err != nil {
			w.tb.Errorf("look for credentials in %s: %v", kind, err)
			continue
		}
		for _, obj := range list.Items {
			if !strings.HasPrefix(obj.GetNamespace(), w.NS) {
				continue
			}
			shown := obj.Object["status"]
			if kind == "Event" {
				shown = obj.Object
			}
			w.hides(kind+"/"+obj.GetName(), fmt.Sprint(shown))
		}
	}
}

func (w *World) hides(where, text string) {
	w.tb.Helper()
	for _, name := range w.planted.told(text) {
		w.tb.Errorf("%s gives away %s", where, name)
	}
}

// metrics is what the engine serves, "" when none runs.
func (w *World) metrics() string {
	if !w.Running() || !strings.Contains(w.Log(), "serving metrics") {
		return ""
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.Serving("metrics")+"/metrics", http.NoBody)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "" // it has ended
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // what came is looked at
	return string(text)
}

// Running tells whether there is an engine.
func (w *World) Running() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.engine != nil
}
