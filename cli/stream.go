package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mostOfAnAnswer bounds how much is read of an answer that is an error.
const mostOfAnAnswer = 64 << 10

// stream asks the API server for something that is no object, such as a pod's log.
// The error is the server's.
func (l *lookup) stream(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	base, err := url.Parse(l.Config.Host)
	if err != nil {
		return nil, err
	}
	at := base.JoinPath(path)
	at.RawQuery = query.Encode()
	return fetchFrom(ctx, l.HTTP, at.String())
}

// fetchFrom opens an address.
func fetchFrom(ctx context.Context, client *http.Client, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, mostOfAnAnswer))
	if err != nil {
		return nil, err
	}
	status := metav1.Status{}
	if err := json.Unmarshal(raw, &status); err == nil && status.Kind == "Status" && status.Message != "" {
		return nil, &apierrors.StatusError{ErrStatus: status}
	}
	return nil, fmt.Errorf("status %d: %s", answer.StatusCode, strings.TrimSpace(string(raw)))
}
