package flags

import (
	"fmt"
	"slices"
	"strings"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// way is a way into a source: what belongs to it, to be taken away when another
// one is chosen.
type way struct {
	name      string
	kinds     []string
	fields    []string // of the source
	protected []string
}

var ways = []way{
	{"local", []string{Git, Bucket, Blob}, []string{"localAuthRef"}, nil}, // in a registry it goes along with the others
	{"ssh", []string{Git}, []string{"sshKnownHosts"}, []string{clusterconfigv1.SSHPrivateKey}},
	{"https", []string{Git}, []string{"httpsUser", "httpsCACert"}, []string{clusterconfigv1.HTTPSKey, clusterconfigv1.HTTPSUser}},
	{"keys", []string{Bucket}, []string{"accessKey"}, []string{clusterconfigv1.BucketSecretKey}},
	{"account", []string{Blob}, nil, []string{clusterconfigv1.AccountKey}},
	{"sas", []string{Blob}, nil, []string{clusterconfigv1.SASToken}},
	{"identity", []string{Blob}, []string{"managedIdentity"}, nil},
	{"principal", []string{Blob}, []string{"servicePrincipal"},
		[]string{clusterconfigv1.ClientSecret, clusterconfigv1.ClientCertificate, clusterconfigv1.ClientCertificatePassword}},
}

// choose takes away what belongs to other ways in than the one that is given, if
// any is. More than one is an error.
func (c *change) choose(given Given) error {
	chosen := map[string][]string{}
	for _, f := range Sources {
		if _, is := given[f.Name]; is && f.way != "" {
			chosen[f.way] = append(chosen[f.way], "--"+f.Name)
		}
	}
	var all []string
	for _, w := range ways {
		if slices.Contains(w.kinds, c.kind.word) {
			all = append(all, chosen[w.name]...)
		}
	}
	for _, w := range ways {
		if !slices.Contains(w.kinds, c.kind.word) || len(chosen[w.name]) == len(all) {
			continue
		}
		if len(chosen[w.name]) > 0 {
			return fmt.Errorf("%s: give one way in, not several", strings.Join(all, ", "))
		}
		c.drop(w)
	}
	return nil
}

// drop takes away what belongs to a way in.
func (c *change) drop(w way) {
	for _, field := range w.fields {
		c.setSource(nil, field)
	}
	for _, key := range w.protected {
		c.protected[key] = nil
	}
}

// fit takes away what does not go with a new address, and was not given along with
// it: a key for SSH where the repository is reached by HTTPS, and the reverse.
func (c *change) fit(given Given, url string) error {
	if c.kind.word != Git {
		return nil
	}
	unfit := "ssh"
	if !strings.HasPrefix(url, "http") {
		unfit = "https"
	}
	for _, f := range Sources {
		if _, is := given[f.Name]; is && f.way == unfit {
			return fmt.Errorf("--%s does not go with the address %s: it is for %s", f.Name, url, map[string]string{"ssh": "SSH", "https": "HTTPS"}[unfit])
		}
	}
	if _, moved := given["url"]; moved {
		c.drop(ways[slices.IndexFunc(ways, func(w way) bool { return w.name == unfit })])
	}
	return nil
}
