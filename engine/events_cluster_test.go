package engine

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testproxy"
)

func TestMain(m *testing.M) { scenario.Main(m) }

// counter counts the requests that go through, and calls at at that one.
type counter struct {
	http.RoundTripper
	n  *atomic.Int64
	at int64
	do func()
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.n.Add(1) == c.at {
		c.do()
	}
	return c.RoundTripper.RoundTrip(r)
}

// TestEveryWarningArrives: all of a storm, once and with one request each, also those
// that wait when the engine is told to stop, and that which the API server took without
// saying so.
func TestEveryWarningArrives(t *testing.T) {
	t.Parallel()
	const many = 1200
	w := scenario.New(t)
	_, through := testproxy.New(t, w.EngineKubeconfig(), testproxy.Rule{Fault: testproxy.ServerError, Match: func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/events")
	}})
	config, err := kube.LoadConfig(through, "", "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	requests := new(atomic.Int64)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{next, requests, many / 3, stop} })
	c, err := client.New(config, client.Options{Scheme: scheme(), Mapper: w.Mapper()})
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder(c, logr.Discard(), "instance")
	obj := kustomization()
	obj.Namespace = w.NS
	for i := range many {
		r.tell(obj, "v1", "Kustomization", true, "Storm", fmt.Sprintf("%04d", i), nil, time.Now())
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if n := requests.Load(); n >= many {
		t.Errorf("%d requests before the stop, which was to come at %d", n, many/3)
	}
	r.Finish(t.Context())

	// One more for the answer that was an error, and for each sender that had one under
	// way when it was told to stop.
	if n := requests.Load(); n > many+1+senders {
		t.Errorf("%d requests for %d events", n, many)
	}
	events := listed(t, config, w.NS)
	if len(events) != many || len(slices.Compact(events)) != many {
		t.Errorf("%d events arrived, %d of them different, want %d", len(events), len(slices.Compact(events)), many)
	}
}

// listed are the messages of all events in a namespace.
func listed(t *testing.T, config *rest.Config, namespace string) (out []string) {
	t.Helper()
	clients, err := kubernetes.NewForConfig(rest.CopyConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	list, err := clients.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		out = append(out, list.Items[i].Message)
	}
	slices.Sort(out)
	return out
}
