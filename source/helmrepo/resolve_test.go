package helmrepo_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/transport"
)

func TestResolveChoosesAsTheToolkitDoes(t *testing.T) {
	t.Parallel()
	server := testhelm.Start(t, testhelm.Options{})
	var entries []testhelm.Entry
	for _, version := range []string{"1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "0.9", "not a version", "1.10.0+late", "1.10.0+early"} {
		created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if strings.HasSuffix(version, "+late") {
			created = created.AddDate(1, 0, 0)
		}
		entries = append(entries, testhelm.Entry{Name: "app", Version: version, URL: "charts/app.tgz?v=" + version[:1], Created: created})
	}
	entries = append(entries, testhelm.Entry{Name: "odd", Version: "1.0.0", URL: "https://elsewhere.example.com/odd.tgz"})
	server.Put("deep/index.yaml", testhelm.Index(t, entries...))
	c, s := newClient(t, t.TempDir(), source.DefaultLimits()), helmrepo.Spec{URL: server.URL + "/deep/"}
	for _, r := range []struct{ versions, want string }{
		{"", "1.10.0+late"}, {"*", "1.10.0+late"}, {"1.2.0", "1.2.0"}, {"1.2.x", "1.2.0"}, {">=1.0.0 <1.5.0", "1.2.0"},
		{">=2.0.0-0", "2.0.0-rc.1"}, {"2.0.0-rc.1", "2.0.0-rc.1"}, {"<1", "0.9"}, {"1.10.0", "1.10.0"}, {"v1.2.0", "1.2.0"},
	} {
		got, err := c.Resolve(t.Context(), s, "app", r.versions)
		if err != nil || got.Version != r.want {
			t.Errorf("%q is %q, %v; want %q", r.versions, got.Version, err, r.want)
		} else if want := server.URL + "/deep/charts/app.tgz?v=" + r.want[:1]; got.URLs[0] != want {
			t.Errorf("%q is at %s, want %s", r.versions, got.URLs[0], want)
		}
	}
	if got, err := c.Resolve(t.Context(), s, "odd", "1"); err != nil || got.URLs[0] != "https://elsewhere.example.com/odd.tgz" {
		t.Errorf("an absolute address: %v, %v", got, err)
	}
	for _, r := range []struct{ chart, versions, want string }{
		{"app", "3.x", `chart "app": none of its 8 versions is within "3.x"`},
		{"none", "*", `there is no chart "none" in the index`},
	} {
		if _, err := c.Resolve(t.Context(), s, r.chart, r.versions); !errors.As(err, new(*source.NotFoundError)) || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s %s: %v", r.chart, r.versions, err)
		}
	}
	if _, err := c.Resolve(t.Context(), s, "app", "one"); !errors.As(err, new(*source.InvalidError)) {
		t.Errorf("a range that is none: %v", err)
	}
	if n := server.Count("/index.yaml"); n != 1 {
		t.Errorf("the index was downloaded %d times", n)
	}
}

func TestAnUnchangedIndexIsNotDownloadedAgain(t *testing.T) {
	t.Parallel()
	server := testhelm.Start(t, testhelm.Options{Gzip: true})
	server.Put("index.yaml", testhelm.Index(t, testhelm.Entry{Name: "app", Version: "1.0.0", URL: "a.tgz"}))
	dir, s := t.TempDir(), helmrepo.Spec{URL: server.URL}
	one, changed, err := newClient(t, dir, source.DefaultLimits()).Fetch(t.Context(), s, "")
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	c := newClient(t, dir, source.DefaultLimits()) // after a restart
	two, changed, err := c.Fetch(t.Context(), s, one.Revision)
	if err != nil || changed || two.Digest != one.Digest {
		t.Fatal(changed, err)
	}
	if n := server.Count("/index.yaml"); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
	server.Put("index.yaml", testhelm.Index(t, testhelm.Entry{Name: "app", Version: "1.1.0", URL: "a.tgz"}))
	if _, err := c.Resolve(t.Context(), s, "app", "1.1.0"); !errors.As(err, new(*source.NotFoundError)) {
		t.Errorf("resolved in an index that nobody fetched: %v", err)
	}
	if _, changed, err := c.Fetch(t.Context(), s, one.Revision); err != nil || !changed {
		t.Error(changed, err)
	}
	if v, err := c.Resolve(t.Context(), s, "app", "*"); err != nil || v.Version != "1.1.0" {
		t.Error(v, err)
	}
}

func TestABrokenIndexChangesNothing(t *testing.T) {
	t.Parallel()
	server := testhelm.Start(t, testhelm.Options{})
	server.Put("index.yaml", testhelm.Index(t, testhelm.Entry{Name: "app", Version: "1.0.0", URL: "a.tgz"}))
	c, s := newClient(t, t.TempDir(), source.DefaultLimits()), helmrepo.Spec{URL: server.URL}
	one, _, err := c.Fetch(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	server.Put("index.yaml", []byte("<!DOCTYPE html>\n"))
	for range 2 {
		if _, _, err = c.Fetch(t.Context(), s, one.Revision); err == nil || !strings.HasPrefix(err.Error(), server.URL+": index.yaml: line 1:") {
			t.Errorf("a web page: %v", err)
		}
	}
	if v, err := c.Resolve(t.Context(), s, "app", "*"); err != nil || v.Version != "1.0.0" {
		t.Errorf("what was there before: %v, %v", v, err)
	}
}

func TestAnIndexIsBounded(t *testing.T) {
	t.Parallel()
	for _, zipped := range []bool{false, true} {
		server := testhelm.Start(t, testhelm.Options{Gzip: zipped})
		server.Put("index.yaml", []byte("apiVersion: v1\n"+strings.Repeat("#", 10_000)))
		limits := source.DefaultLimits()
		limits.IndexBytes = 5_000
		_, _, err := newClient(t, t.TempDir(), limits).Fetch(t.Context(), helmrepo.Spec{URL: server.URL}, "")
		if !errors.As(err, new(*source.LimitError)) || !strings.Contains(err.Error(), "--max-index-size") {
			t.Errorf("compressed %t: %v", zipped, err)
		}
	}
}

func TestManyChartsOfOneIndexAtOnce(t *testing.T) {
	t.Parallel()
	server := testhelm.Start(t, testhelm.Options{})
	var entries []testhelm.Entry
	for i := range 50 {
		entries = append(entries, testhelm.Entry{Name: fmt.Sprint("app", i), Version: fmt.Sprintf("1.0.%d", i), URL: "a.tgz"})
	}
	server.Put("index.yaml", testhelm.Index(t, entries...))
	c, s := newClient(t, t.TempDir(), source.DefaultLimits()), helmrepo.Spec{URL: server.URL}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if v, err := c.Resolve(t.Context(), s, fmt.Sprint("app", i), "*"); err != nil || v.Version != fmt.Sprintf("1.0.%d", i) {
				t.Error(i, v, err)
			}
		})
	}
	all.Wait()
	if n := server.Count("/index.yaml"); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	secure := testhelm.Start(t, testhelm.Options{TLS: true})
	empty := testhelm.Start(t, testhelm.Options{})
	lost := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		w.Header().Set("Location", "http://[secret@")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(lost.Close)
	c := newClient(t, t.TempDir(), source.DefaultLimits())
	for name, r := range map[string]struct {
		spec helmrepo.Spec
		is   any
		want string
	}{
		"no index":              {helmrepo.Spec{URL: empty.URL}, new(*source.NotFoundError), "status 404"},
		"an unknown authority":  {helmrepo.Spec{URL: secure.URL}, new(*source.AuthError), "trust its authority with ca.crt"},
		"no URL":                {helmrepo.Spec{URL: "charts"}, new(*source.InvalidError), "begins with https://"},
		"credentials in it":     {helmrepo.Spec{URL: "https://me:secret@example.com"}, new(*source.InvalidError), "use spec.secretRef"},
		"a registry":            {helmrepo.Spec{URL: "oci://example.com"}, new(*source.InvalidError), "has no index"},
		"HTTPS to plain HTTP":   {helmrepo.Spec{URL: "https://" + empty.Address}, nil, "the server speaks plain HTTP"},
		"a token in the query":  {helmrepo.Spec{URL: "http://127.0.0.1:1/?token=secret@"}, nil, "connection refused"},
		"a redirect to nowhere": {helmrepo.Spec{URL: lost.URL}, nil, "the server redirects to what is no address"},
		"a proxy that refuses": {helmrepo.Spec{URL: "https://example.com/?token=secret@", Transport: transport.Options{
			Proxy: &transport.Proxy{Address: lost.URL, Username: "me", Password: "secret@"},
		}}, new(*source.AuthError), "the proxy asks for other credentials"},
		"nobody is there":       {helmrepo.Spec{URL: "http://127.0.0.1:1"}, nil, "connection refused"},
		"a port that is no one": {helmrepo.Spec{URL: "http://127.0.0.1:port"}, new(*source.InvalidError), ""},
	} {
		_, _, err := c.Fetch(t.Context(), r.spec, "")
		if err == nil || !strings.Contains(err.Error(), r.want) || r.is != nil && !errors.As(err, r.is) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// statuses are those of the requests for a path.
func statuses(s *testhelm.Server, end string) (all []int) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, end) {
			all = append(all, r.Status)
		}
	}
	return all
}

func TestCredentialsGoToTheRepositoryOnly(t *testing.T) {
	t.Parallel()
	archive := testhelm.Chart(t, "app", "1.0.0", nil)
	for name, c := range map[string]struct {
		redirect, pass bool
		want           int
	}{
		"another host in the index":             {false, false, http.StatusUnauthorized},
		"another host in the index, and passed": {false, true, http.StatusOK},
		"a redirect":                            {true, false, http.StatusUnauthorized},
		"a redirect, and passed":                {true, true, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := testhelm.Start(t, testhelm.Options{Username: "reader", Password: "right"})
			other.Put("app.tgz", archive)
			options, url := testhelm.Options{Username: "reader", Password: "right"}, other.URL+"/app.tgz"
			if c.redirect {
				options.Redirect, url = other.URL, "app.tgz"
			}
			server := testhelm.Start(t, options)
			server.Put("index.yaml", testhelm.Index(t, testhelm.Entry{Name: "app", Version: "1.0.0", URL: url}))
			s := helmrepo.Spec{URL: server.URL, Username: "reader", Password: "right", PassCredentials: c.pass}
			_, err := download(t, newClient(t, t.TempDir(), source.DefaultLimits()), newStore(t, t.TempDir()), s, "app", "*")
			if errors.As(err, new(*source.AuthError)) != (c.want != http.StatusOK) {
				t.Errorf("error %v", err)
			}
			if got := statuses(other, "/app.tgz"); len(got) != 1 || got[0] != c.want {
				t.Errorf("the other host answered %v, want %d", got, c.want)
			}
			if sent := other.Requests()[0].Credential; (sent != "") != c.pass {
				t.Errorf("the other host was told %q", sent)
			}
		})
	}
}
