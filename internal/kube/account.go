package kube

import (
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Token asks for a token of a service account that an audience outside of the
// cluster is to trust (TokenRequest, authentication.k8s.io/v1). It is good for
// an hour; asking for another is cheap.
func (c *Cluster) Token(ctx context.Context, namespace, name, audience string) (string, error) {
	request := authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		Spec:     authenticationv1.TokenRequestSpec{Audiences: []string{audience}},
	}
	body, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	at := "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + name + "/token"
	raw, err := c.raw.Post().AbsPath(at).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Raw()
	if err != nil {
		return "", fmt.Errorf("ServiceAccount/%s/%s: ask for a token for %s: %w", namespace, name, audience, err)
	}
	answer := authenticationv1.TokenRequest{}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Status.Token == "" {
		return "", fmt.Errorf("ServiceAccount/%s/%s: the answer holds no token", namespace, name)
	}
	return answer.Status.Token, nil
}
