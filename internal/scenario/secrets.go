package scenario

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/retry"
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

// plant notes the credentials of an object: those of a Secret, and the passwords in
// the addresses of anything else.
func (p *planted) plant(obj *unstructured.Unstructured) {
	name := obj.GetKind() + "/" + obj.GetName()
	if obj.GetKind() != "Secret" {
		p.plantAddresses(name, obj.Object["spec"])
		return
	}
	all := secretData(obj)
	for _, key := range credentials {
		p.note(name+" "+key, telling(key, all[key])...)
	}
	for key, value := range all {
		p.note(name+" "+key, inAddress(value)...)
	}
	if login := all["username"] + ":" + all["password"]; all["password"] != "" {
		p.note(name+" password", base64.StdEncoding.EncodeToString([]byte(login))) // as a header has it
	}
}

func (p *planted) note(where string, values ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, value := range values {
		if len(value) >= shortest {
			p.values[value] = where
		}
	}
}

// secretData is what a Secret as applied will hold.
func secretData(obj *unstructured.Unstructured) map[string]string {
	plain, _, _ := unstructured.NestedStringMap(obj.Object, "stringData")
	coded, _, _ := unstructured.NestedStringMap(obj.Object, "data")
	all := map[string]string{}
	for key, value := range coded {
		all[key] = decoded(value) // the API server refuses what is not base64
	}
	maps.Copy(all, plain)
	return all
}

// plantAddresses looks for addresses at any depth of a spec.
func (p *planted) plantAddresses(name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, below := range v {
			p.plantAddresses(name, below)
		}
	case []any:
		for _, below := range v {
			p.plantAddresses(name, below)
		}
	case string:
		p.note(name+" spec", inAddress(v)...)
	}
}

// inAddress is the password in an address, plain and as it is written there.
func inAddress(text string) []string {
	address, err := url.Parse(text)
	if err != nil || address.User == nil {
		return nil
	}
	password, _ := address.User.Password()
	_, escaped, _ := strings.Cut(address.User.String(), ":")
	return []string{password, escaped}
}

// telling is what gives a credential away: of keys in PEM each line, of logins for
// registries the passwords, of a signed query the signature.
func telling(key, value string) (parts []string) {
	switch {
	case key == ".dockerconfigjson":
		var login struct {
			Auths map[string]struct{ Username, Password, Auth string }
		}
		if json.Unmarshal([]byte(value), &login) == nil {
			for _, a := range login.Auths {
				_, decoded, _ := strings.Cut(decoded(a.Auth), ":")
				parts = append(parts, a.Password, a.Auth, decoded, base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password)))
			}
		}
	case key == "sasKey":
		query, _ := url.ParseQuery(strings.TrimPrefix(value, "?")) // what is no query has no signature
		parts = []string{value, query.Get("sig"), url.QueryEscape(query.Get("sig"))}
	case strings.Contains(value, "-----BEGIN"):
		for line := range strings.Lines(value) {
			if !strings.HasPrefix(line, "-----") {
				parts = append(parts, strings.TrimSpace(line))
			}
		}
	default:
		value = strings.TrimSpace(value)
		parts = []string{value, base64.StdEncoding.EncodeToString([]byte(value)), url.QueryEscape(value)}
	}
	return parts
}

func decoded(text string) string {
	raw, _ := base64.StdEncoding.DecodeString(text) // what is none holds no password
	return string(raw)
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
	w.hidesIn(w.NS)
}

// hidesIn fails the test if events or statuses in a namespace give something away.
func (w *World) hidesIn(namespace string) {
	w.tb.Helper()
	if !w.planted.any() {
		return
	}
	for kind, gvk := range kinds {
		if kind != "Event" && !strings.HasSuffix(gvk.Group, ".fluxcd.io") && gvk.Group != "clusterconfig.azure.com" {
			continue
		}
		r, err := w.Resource(gvk, namespace)
		if err != nil {
			continue // a kind that this test did not install
		}
		list, err := retry.Do(context.Background(), func() (*unstructured.UnstructuredList, error) {
			return r.List(context.Background(), metav1.ListOptions{})
		})
		if err != nil {
			w.tb.Errorf("look for credentials in %s: %v", kind, err)
			continue
		}
		for _, obj := range list.Items {
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
	address := w.serving("metrics")
	if !w.Running() || address == "" {
		return ""
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address+"/metrics", http.NoBody)
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

// said runs a command of Plumb, which may give nothing away either.
func (w *World) said(cmd *exec.Cmd) (stdout, stderr string, code int) {
	w.tb.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run() // the exit code tells
	w.hides("the output of plumb", out.String()+errOut.String())
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}
