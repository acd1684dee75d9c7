package flags

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	wholenumbers "k8s.io/apimachinery/pkg/util/json" // reads whole numbers as such
	"k8s.io/apimachinery/pkg/util/validation"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig"
)

// Plan is what is to be written.
type Plan struct {
	// Object is the configuration as it will be.
	Object *clusterconfigv1.FluxConfig
	// Patch is a merge patch of the one that is there; nil where none is.
	Patch map[string]any
	// Protected are the protected parameters that change; nil for one that goes.
	Protected map[string][]byte
	// Notes are for the user to know.
	Notes []string
	// Doubts are for the user to agree to first.
	Doubts []string
}

// Have is a configuration that is there.
type Have struct {
	Object *clusterconfigv1.FluxConfig
	// Protected is the data of the Secret with the protected parameters; nil when
	// there is none, or when it may not be read.
	Protected map[string][]byte
	// Unread tells that there is one, and that it may not be read.
	Unread bool
}

// ProtectedName is the name of the Secret that protected parameters are put into.
func ProtectedName(config string) string { return config + "-protected-parameters" }

// CheckNames tells what is wrong with the name of a configuration, or of its
// namespace.
func CheckNames(name, namespace string) error {
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 || len(name) > validation.LabelValueMaxLength {
		return fmt.Errorf("--name %q: a name has small letters, digits, hyphens and dots, and at most %d of them", name, validation.LabelValueMaxLength)
	}
	if wrong := validation.IsDNS1123Label(namespace); namespace != "" && len(wrong) > 0 {
		return fmt.Errorf("--namespace %q: %s", namespace, wrong[0])
	}
	return nil
}

// Create is the configuration that flags describe.
func Create(name, namespace string, given Given) (*Plan, error) {
	if err := CheckNames(name, namespace); err != nil {
		return nil, err
	}
	base := &clusterconfigv1.FluxConfig{
		TypeMeta:   metav1.TypeMeta{APIVersion: clusterconfigv1.GroupVersion.String(), Kind: clusterconfigv1.FluxConfigKind},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       clusterconfigv1.FluxConfigSpec{Scope: clusterconfigv1.ScopeCluster, SourceKind: clusterconfigv1.GitRepositorySource},
	}
	plan, err := changed(Have{Object: base}, given, true)
	if err != nil {
		return nil, err
	}
	plan.Patch = nil
	if len(given["kustomization"]) == 0 {
		plan.Notes = append(plan.Notes, fmt.Sprintf("no --kustomization is given: %s applies everything in the source", DefaultKustomization))
	}
	return plan, nil
}

// DefaultKustomization is the name of the kustomization of a configuration that is
// created without one.
const DefaultKustomization = "kustomization-1"

// Update is what flags change of a configuration. What they don't speak of stays.
func Update(have Have, given Given) (*Plan, error) {
	if len(given) == 0 {
		return nil, errors.New("give at least one flag that changes something, such as --branch or --suspend")
	}
	return changed(have, given, false)
}

// changed is the way of flags into a configuration.
func changed(have Have, given Given, creation bool) (*Plan, error) {
	fc := have.Object
	was := kindOf(func(k kind) bool { return k.source == fc.Spec.SourceKind })
	c := &change{kind: was, spec: map[string]any{}, protected: map[string][]byte{}}
	if err := c.choice(given); err != nil {
		return nil, err
	}
	plan := &Plan{}
	if moved := !creation && c.kind.word != was.word; moved {
		c.leave(was)
		plan.Doubts = append(plan.Doubts, fmt.Sprintf("the source of %s/%s becomes another one: %s instead of %s", fc.Namespace, fc.Name, c.kind.word, was.word))
		creation = true
	}
	if creation {
		c.set(c.kind.source, "sourceKind")
		if err := c.complete(given); err != nil {
			return nil, err
		}
	}
	if err := c.take(given); err != nil {
		return nil, err
	}
	current, err := fields(fc)
	if err != nil {
		return nil, err
	}
	if err := c.kustomizations(current, given); err != nil {
		return nil, err
	}
	return plan, c.finish(plan, have, current, given)
}

// choice finds which kind of source is meant, and refuses flags of others.
func (c *change) choice(given Given) error {
	for _, f := range Sources {
		words, is := given[f.Name]
		if is && f.Values != nil && !slices.ContainsFunc(f.Values, func(v string) bool { return strings.EqualFold(v, words[0]) }) {
			return fmt.Errorf("--%s %s: want one of %s", f.Name, words[0], strings.Join(f.Values, ", "))
		}
	}
	if words, is := given["kind"]; is {
		c.kind = kindOf(func(k kind) bool { return strings.EqualFold(k.word, words[0]) })
	}
	for _, f := range Sources {
		if _, is := given[f.Name]; is && !f.belongs(c.kind.word) {
			return fmt.Errorf("--%s does not belong to a source of kind %s; these do: %s", f.Name, c.kind.word, valid(c.kind.word))
		}
	}
	return nil
}

// leave takes a source away, with all its credentials.
func (c *change) leave(was kind) {
	c.set(nil, was.field)
	for _, w := range ways {
		for _, key := range w.protected {
			c.protected[key] = nil
		}
	}
	for _, key := range []string{clusterconfigv1.TLSCACertificate, clusterconfigv1.TLSClientCertificate, clusterconfigv1.TLSPrivateKey} {
		c.protected[key] = nil
	}
}

// complete wants what a new source cannot do without.
func (c *change) complete(given Given) error {
	for _, flag := range []string{"url", c.kind.flag} {
		if _, is := given[flag]; flag != "" && !is {
			return fmt.Errorf("give --%s: a source of kind %s needs it", flag, c.kind.word)
		}
	}
	if c.kind.word == Git && !slices.ContainsFunc(gitRefs, func(flag string) bool { _, is := given[flag]; return is }) {
		return fmt.Errorf("give one of --%s: what of the repository to use", strings.Join(gitRefs, ", --"))
	}
	return nil
}

var (
	gitRefs = []string{"branch", "tag", "semver", "commit"}
	ociRefs = []string{"tag", "semver", "digest"}
)

// take puts every flag where it belongs.
func (c *change) take(given Given) error {
	if err := c.choose(given); err != nil {
		return err
	}
	if err := c.reference(given); err != nil {
		return err
	}
	for _, f := range Sources {
		if _, both := given[f.Name+"-file"]; both && given[f.Name] != nil {
			return fmt.Errorf("--%s and --%s-file say the same: give one of them", f.Name, f.Name)
		}
		for _, word := range given[f.Name] {
			if word == "" {
				return fmt.Errorf("--%s: it is empty", f.Name)
			}
			if f.put == nil {
				continue
			}
			if err := f.put(c, word); err != nil {
				return fmt.Errorf("--%s: %w", f.Name, err)
			}
		}
	}
	return nil
}

// reference takes away what was followed so far, where something else is given. Of
// Git there may be a commit with its branch, and else there is one.
func (c *change) reference(given Given) error {
	refs := map[string][]string{Git: gitRefs, OCI: ociRefs}[c.kind.word]
	var chosen []string
	for _, flag := range refs {
		if _, is := given[flag]; is {
			chosen = append(chosen, flag)
		}
	}
	if len(chosen) > 1 && !slices.Equal(chosen, []string{"branch", "commit"}) {
		return fmt.Errorf("--%s: give only one of them, or --commit with --branch", strings.Join(chosen, ", --"))
	}
	for _, flag := range refs {
		if len(chosen) > 0 {
			c.setSource(nil, "ref."+flag)
		}
	}
	return nil
}

// kustomizations puts those that are given to those that are there.
func (c *change) kustomizations(current map[string]any, given Given) error {
	var entries []Entry
	for _, argument := range given["kustomization"] {
		e, err := Kustomization(Split(argument))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(entries, func(other Entry) bool { return other.Name == e.Name }) {
			return fmt.Errorf("--kustomization name=%s is given twice", e.Name)
		}
		entries = append(entries, e)
	}
	list, _ := current["kustomizations"].([]any)
	if len(entries) == 0 && list == nil {
		if _, there := current[c.kind.field]; !there { // created, and not changed
			entries = []Entry{{DefaultKustomization, map[string]any{"name": DefaultKustomization}}}
		}
	}
	if len(entries) > 0 {
		c.set(merged(list, entries), "kustomizations")
	}
	return nil
}

// finish puts the change to what is there, and looks at the whole.
func (c *change) finish(plan *Plan, have Have, current map[string]any, given Given) error {
	fc := have.Object
	after := mergePatch(current, c.spec)
	url, _ := nested(after, c.kind.field, "url").(string)
	if err := c.fit(given, url); err != nil {
		return err
	}
	data := c.keep(plan, have.Protected)
	if len(plan.Protected) > 0 {
		if have.Unread {
			return fmt.Errorf("FluxConfig/%s/%s: its Secret with the protected parameters cannot be read, so that what else is in it can't be told: ask for the right to get it", fc.Namespace, fc.Name)
		}
		if fc.Spec.ProtectedParametersSecretRef == nil {
			c.set(ProtectedName(fc.Name), "protectedParametersSecretRef", "name")
		}
	}
	plan.Patch = map[string]any{"spec": c.spec}
	plan.Object = fc.DeepCopy()
	plan.Object.Spec = clusterconfigv1.FluxConfigSpec{}
	if err := typed(mergePatch(current, c.spec), &plan.Object.Spec); err != nil {
		return err
	}
	if have.Unread {
		return nil // the engine looks at the whole
	}
	return check(plan.Object, data)
}

// keep notes which protected parameters change, and returns how they are after that.
func (c *change) keep(plan *Plan, have map[string][]byte) map[string][]byte {
	after := maps.Clone(have)
	if after == nil {
		after = map[string][]byte{}
	}
	plan.Protected = map[string][]byte{}
	for key, value := range c.protected {
		switch {
		case value != nil:
			after[key], plan.Protected[key] = value, value
		case have[key] != nil:
			delete(after, key)
			plan.Protected[key] = nil
		}
	}
	return after
}

// check says what is wrong with a configuration as a whole.
func check(fc *clusterconfigv1.FluxConfig, data map[string][]byte) error {
	s := fc.Spec
	switch {
	case s.GitRepository != nil && (s.GitRepository.HTTPSUser == "") != (len(data[clusterconfigv1.HTTPSKey]) == 0):
		return errors.New("give --https-user and --https-key together")
	case s.Bucket != nil && (s.Bucket.AccessKey == "") != (len(data[clusterconfigv1.BucketSecretKey]) == 0):
		return errors.New("give --bucket-access-key and --bucket-secret-key together, or --local-auth-ref")
	case s.OCIRepository != nil && (len(data[clusterconfigv1.TLSClientCertificate]) == 0) != (len(data[clusterconfigv1.TLSPrivateKey]) == 0):
		return errors.New("give --tls-client-certificate and --tls-private-key together")
	case s.AzureBlob != nil && s.AzureBlob.ServicePrincipal != nil:
		if err := principal(s.AzureBlob.ServicePrincipal, data); err != nil {
			return err
		}
	}
	in := fluxconfig.Inputs{Protected: data}
	if fluxconfig.NeedsKey(fc, data) {
		in.Key = placeholder()
	}
	_, err := fluxconfig.Generate(fc, in)
	return err
}

func principal(p *clusterconfigv1.ServicePrincipal, data map[string][]byte) error {
	_, secret := data[clusterconfigv1.ClientSecret]
	_, certificate := data[clusterconfigv1.ClientCertificate]
	_, password := data[clusterconfigv1.ClientCertificatePassword]
	switch {
	case p.ClientID == "" || p.TenantID == "":
		return errors.New("a service principal needs --sp-client-id and --sp-tenant-id")
	case secret == certificate:
		return errors.New("a service principal needs one of --sp-client-secret and --sp-client-cert")
	case secret && (password || p.ClientCertificateSendChain):
		return errors.New("--sp-cert-password and --sp-cert-send-chain go with --sp-client-cert")
	}
	return nil
}

// placeholder is a key in place of the one that the engine is going to make, so
// that the rest of the configuration can be looked at. It opens nothing.
func placeholder() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		panic(err) // that is a key
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// fields is the spec of a configuration by name, as the API has it.
func fields(fc *clusterconfigv1.FluxConfig) (map[string]any, error) {
	raw, err := json.Marshal(fc.Spec)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	return out, wholenumbers.Unmarshal(raw, &out)
}

// typed is the reverse of fields. A field that the kind does not have is an error.
func typed(from map[string]any, to *clusterconfigv1.FluxConfigSpec) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(to)
}
