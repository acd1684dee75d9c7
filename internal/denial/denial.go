// Package denial says in plain words which right an account lacks.
package denial

import (
	"fmt"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Denied is a request that RBAC did not allow.
type Denied struct {
	Account   string // as the API server names it, e.g. system:serviceaccount:team:deployer
	Verb      string
	Resource  string // resource.group
	Namespace string // "" for the whole cluster
	Err       error  // the server's answer
}

// Error implements error. It names what has to be granted.
func (d *Denied) Error() string {
	where, role := "in namespace "+d.Namespace, "Role"
	if d.Namespace == "" {
		where, role = "in the whole cluster", "ClusterRole"
	}
	return fmt.Sprintf("the account %s may not %s %s %s: bind it to a %s that allows that", d.Account, d.Verb, d.Resource, where, role)
}

// Unwrap gives the server's answer.
func (d *Denied) Unwrap() error { return d.Err }

// answer is how the API server words what its authorizer did not allow
// (k8s.io/apiserver, ForbiddenMessage).
var answer = regexp.MustCompile(`User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?`)

// Explain turns the server's answer about a missing right into a Denied. Other
// errors, also other reasons to forbid something, are returned as they are.
func Explain(err error) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	found := answer.FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	resource := found[3]
	if found[4] != "" {
		resource += "." + found[4]
	}
	return &Denied{Account: found[1], Verb: found[2], Resource: resource, Namespace: found[5], Err: err}
}
