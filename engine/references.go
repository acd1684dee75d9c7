package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/build/decrypt"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// inputsUser is the kind under which a unit follows what its spec names, apart
// from what it follows for its health.
const inputsUser = kustomizev1.KustomizationKind + " inputs"

// references are the contents of the Secrets and ConfigMaps that a spec names.
type references struct {
	decryption map[string][]byte
	cloud      decrypt.Cloud // who asks the key services
	variables  map[string]string
	account    string // who that is, by the annotations
	hash       string // of all of it
}

// refer reads what the spec of a unit names. What is not there is waited for.
func (e *Engine) refer(ctx context.Context, p *pass) error {
	p.reader = e.reader(live.User{Kind: inputsUser, NamespacedName: p.unit.name})
	r, err := e.readReferences(ctx, p)
	if err != nil {
		return waitFor(kustomizev1.BuildFailedReason, err)
	}
	p.references = r
	return nil
}

// waitFor makes a failure that the arrival of a missing object ends; any other
// error is tried again.
func waitFor(reason string, err error) error {
	if absent, ok := errors.AsType[*missing](err); ok {
		return &Failure{Reason: reason, Next: Wait, On: []string{absent.key.String()}, Err: err}
	}
	return fail(reason, Retry, err)
}

func (e *Engine) readReferences(ctx context.Context, p *pass) (r references, err error) {
	spec := p.object.Spec
	if d := spec.Decryption; d != nil && d.SecretRef != nil {
		if r.decryption, err = p.reader.data(ctx, secretKind, p.object.Namespace, d.SecretRef.Name); err != nil {
			return r, fmt.Errorf("spec.decryption.secretRef: %w", err)
		}
	}
	if d := spec.Decryption; d != nil && d.ServiceAccountName != "" {
		account, err := e.serviceAccount(ctx, p.reader, p.object.Namespace, d.ServiceAccountName)
		if err != nil {
			return r, fmt.Errorf("spec.decryption.serviceAccountName: %w", err)
		}
		r.account = hashOf(nil, account.Annotations)
		if r.cloud, err = identities(ctx, account); err != nil {
			return r, fmt.Errorf("spec.decryption.serviceAccountName: %w", err)
		}
	}
	if spec.PostBuild != nil {
		if r.variables, err = p.readVariables(ctx, *spec.PostBuild); err != nil {
			return r, err
		}
	}
	r.hash = hashOf(r.decryption, r.variables) + r.account
	return r, nil
}

// identities are who a service account is at the providers that its annotations
// name. None is asked yet.
func identities(ctx context.Context, account *cloud.ServiceAccount) (c decrypt.Cloud, err error) {
	var errs [3]error
	o := cloud.Options{ServiceAccount: account}
	c.Azure, errs[0] = cloud.AzureCredential(o)
	c.AWS, errs[1] = cloud.AWSCredentials(context.WithoutCancel(ctx), o)
	c.GCP, errs[2] = cloud.GCPToken(context.WithoutCancel(ctx), o)
	if errs[0] != nil && errs[1] != nil && errs[2] != nil {
		return c, errors.Join(errs[:]...)
	}
	return c, nil
}

// readVariables gathers the variables: later references win over earlier ones,
// and what the spec itself says over all.
func (p *pass) readVariables(ctx context.Context, post kustomizev1.PostBuild) (map[string]string, error) {
	variables := map[string]string{}
	for i, ref := range post.SubstituteFrom {
		data, err := p.reader.data(ctx, ref.Kind, p.object.Namespace, ref.Name)
		if absent := new(missing); ref.Optional && errors.As(err, &absent) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("spec.postBuild.substituteFrom[%d]: %w", i, err)
		}
		for name, value := range data {
			variables[name] = string(value)
		}
	}
	maps.Copy(variables, post.Substitute)
	return variables, nil
}

// hashOf names the content of references.
func hashOf(secret map[string][]byte, variables map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(secret)) {
		fmt.Fprintf(h, "%q=%q\n", name, secret[name])
	}
	fmt.Fprintln(h)
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		fmt.Fprintf(h, "%q=%q\n", name, variables[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (e *Engine) reader(user live.User) *reader { return &reader{view: e.home.view, user: user} }
