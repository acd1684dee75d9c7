package client

import (
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// lookup is the REST client of one object, by which the SDK looks whether it has to
// adopt it. What the plan has found not to be there costs no request.
type lookup struct {
	client *Client
	key    kube.Key
}

// Get implements resource.RESTClient.
func (l lookup) Get() *rest.Request { return l.rest().Get() }

// Post implements resource.RESTClient.
func (l lookup) Post() *rest.Request { return l.rest().Post() }

// Patch implements resource.RESTClient.
func (l lookup) Patch(kind types.PatchType) *rest.Request { return l.rest().Patch(kind) }

// Delete implements resource.RESTClient.
func (l lookup) Delete() *rest.Request { return l.rest().Delete() }

// Put implements resource.RESTClient.
func (l lookup) Put() *rest.Request { return l.rest().Put() }

func (l lookup) rest() *rest.RESTClient {
	config := rest.CopyConfig(l.client.Cluster.Config)
	gv := l.key.GVK().GroupVersion()
	config.GroupVersion, config.APIPath = &gv, "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = resource.UnstructuredPlusDefaultContentConfig().NegotiatedSerializer
	made, err := rest.RESTClientForConfigAndClient(config, &http.Client{Transport: l})
	if err != nil {
		made, _ = rest.NewRESTClient(nil, "", rest.ClientContentConfig{}, nil, nil) // its requests carry the error
	}
	return made
}

// RoundTrip implements http.RoundTripper.
func (l lookup) RoundTrip(r *http.Request) (*http.Response, error) {
	l.client.mu.Lock()
	absent := l.client.absent[l.key]
	l.client.mu.Unlock()
	if absent && r.Method == http.MethodGet {
		return notFound(r), nil
	}
	return l.client.Cluster.HTTP.Transport.RoundTrip(r.WithContext(l.client.ctx))
}

// notFound is the answer of an API server that has no such object.
func notFound(r *http.Request) *http.Response {
	body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"` + string(metav1.StatusReasonNotFound) + `","message":"not found","code":404}`
	return &http.Response{
		StatusCode: http.StatusNotFound, Status: "404 Not Found", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}
