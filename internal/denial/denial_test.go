package denial

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ resource, group, answer, want string }{
		"in a namespace": {"deployments", "apps", `User "system:serviceaccount:team:deployer" cannot patch resource "deployments" in API group "apps" in the namespace "shop"`,
			"the account system:serviceaccount:team:deployer may not patch deployments.apps in namespace shop: bind it to a Role that allows that"},
		"in the cluster": {"namespaces", "", `User "jane" cannot create resource "namespaces" in API group "" at the cluster scope`,
			"the account jane may not create namespaces in the whole cluster: bind it to a ClusterRole that allows that"},
		"a subresource": {"pods/log", "", `User "jane" cannot get resource "pods/log" in API group "" in the namespace "shop": RBAC: role "x" not found`,
			"the account jane may not get pods/log in namespace shop: bind it to a Role that allows that"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := apierrors.NewForbidden(schema.GroupResource{Group: c.group, Resource: c.resource}, "web", errors.New(c.answer))
			got := Explain(fmt.Errorf("wrapped: %w", server))
			if got.Error() != c.want || !errors.Is(got, server) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestExplainLeavesOtherErrors(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		nil,
		errors.New(`User "jane" cannot create resource "namespaces" in API group "" at the cluster scope`),
		apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "web", errors.New("exceeded quota")),
	} {
		if got := Explain(err); !errors.Is(got, err) || (err != nil && got.Error() != err.Error()) {
			t.Errorf("%v became %v", err, got)
		}
	}
}
