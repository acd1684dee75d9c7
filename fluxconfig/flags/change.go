package flags

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// change is what flags say of a configuration.
type change struct {
	kind      kind
	spec      map[string]any    // a merge patch of the spec
	protected map[string][]byte // of the protected parameters; nil takes one away
}

// set puts a value below the spec, replacing what is there.
func (c *change) set(value any, path ...string) {
	// The maps on the way are ours, so there is nothing else that it could meet.
	if err := unstructured.SetNestedField(c.spec, value, path...); err != nil {
		panic(err)
	}
}

// setSource puts a value below the source; path is of the form a.b.
func (c *change) setSource(value any, path string) {
	c.set(value, append([]string{c.kind.field}, strings.Split(path, ".")...)...)
}

func spec(path string) func(*change, string) error {
	return func(c *change, value string) error {
		c.set(value, path)
		return nil
	}
}

func truth(path string) func(*change, string) error {
	return func(c *change, value string) error {
		on, err := boolean(value)
		c.set(on, path)
		return err
	}
}

func source(path string) func(*change, string) error {
	return func(c *change, value string) error {
		c.setSource(value, path)
		return nil
	}
}

func sourceTruth(path string) func(*change, string) error {
	return func(c *change, value string) error {
		on, err := boolean(value)
		c.setSource(on, path)
		return err
	}
}

func duration(path string) func(*change, string) error {
	return func(c *change, value string) error {
		d, err := span(value)
		c.setSource(d, path)
		return err
	}
}

func protected(key string) func(*change, string) error {
	return func(c *change, value string) error { return secret(key)(c, []byte(value)) }
}

func secret(key string) func(*change, []byte) error {
	return func(c *change, value []byte) error {
		if len(value) == 0 {
			return errors.New("it is empty")
		}
		c.protected[key] = value
		return nil
	}
}

// encoded is for a flag whose value is in base64; otherwise says what else there is.
// Errors never repeat the value.
func encoded(put func(*change, []byte) error, otherwise string) func(*change, string) error {
	return func(c *change, value string) error {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil {
			return errors.New("it is not in base64: give it so" + otherwise)
		}
		return put(c, raw)
	}
}

// content is for a flag whose value is the content of a file.
func content(put func(*change, []byte) error) func(*change, string) error {
	return func(c *change, value string) error { return put(c, []byte(value)) }
}

func address(c *change, value string) error {
	if !slices.ContainsFunc(c.kind.prefixes, func(p string) bool { return strings.HasPrefix(value, p) && len(value) > len(p) }) {
		return fmt.Errorf("the address of a source of kind %s begins with %s", c.kind.word, strings.Join(c.kind.prefixes, ", "))
	}
	c.setSource(value, "url")
	return nil
}

func provider(c *change, value string) error {
	names := map[string]string{"generic": "Generic", "azure": "Azure", "github": "GitHub"}
	c.setSource(names[strings.ToLower(value)], "provider")
	return nil
}

func privateKey(c *change, key []byte) error {
	_, err := ssh.ParseRawPrivateKey(key)
	if _, sealed := errors.AsType[*ssh.PassphraseMissingError](err); sealed {
		return errors.New("the key has a passphrase: give one without, or a Secret with both by --local-auth-ref")
	}
	if err != nil {
		return errors.New("that is no private key in PEM: want one of RSA, ECDSA, DSA or Ed25519")
	}
	c.protected[clusterconfigv1.SSHPrivateKey] = key
	return nil
}

func knownHosts(c *change, lines []byte) error {
	number := 0
	for line := range strings.Lines(string(lines)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if _, _, _, _, _, err := ssh.ParseKnownHosts([]byte(line + "\n")); err != nil {
			return fmt.Errorf("line %d is not as in a known_hosts file: want what ssh-keyscan prints", number)
		}
	}
	c.setSource(base64.StdEncoding.EncodeToString(lines), "sshKnownHosts")
	return nil
}

func authority(c *change, certificates []byte) error {
	block, _ := pem.Decode(certificates)
	if block == nil {
		return errors.New("there is no certificate in PEM in it")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return errors.New("what is in it is no certificate")
	}
	c.setSource(base64.StdEncoding.EncodeToString(certificates), "httpsCACert")
	return nil
}

// principalSecret takes the place of a certificate.
func principalSecret(c *change, value string) error {
	c.protected[clusterconfigv1.ClientCertificate] = nil
	c.protected[clusterconfigv1.ClientCertificatePassword] = nil
	return protected(clusterconfigv1.ClientSecret)(c, value)
}

func principalCertificate(c *change, value []byte) error {
	if c.protected[clusterconfigv1.ClientSecret] != nil {
		return errors.New("a service principal needs one of --sp-client-secret and --sp-client-cert, not both")
	}
	c.protected[clusterconfigv1.ClientSecret] = nil
	return secret(clusterconfigv1.ClientCertificate)(c, value)
}

// verification adds one file to those that are verified with.
func verification(c *change, word string) error {
	name, value, assigned := strings.Cut(word, "=")
	if _, err := base64.StdEncoding.DecodeString(value); err != nil || !assigned || name == "" {
		return errors.New("want words of the form FILE=BASE64, such as cosign.pub=...")
	}
	// By its whole path: a file's name has dots.
	c.set(value, c.kind.field, "verify", "verificationConfig", name)
	return nil
}

// signer adds one to those who may have signed.
func signer(c *change, word string) error {
	one := clusterconfigv1.OIDCIdentity{}
	decoder := json.NewDecoder(strings.NewReader(word))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&one); err != nil || one.Issuer == "" || one.Subject == "" {
		return errors.New(`want words of the form {"issuer":"REGEXP","subject":"REGEXP"}`)
	}
	path := []string{c.kind.field, "verify", "matchOidcIdentity"}
	list, _, _ := unstructured.NestedSlice(c.spec, path...)
	c.set(append(list, map[string]any{"issuer": one.Issuer, "subject": one.Subject}), path...)
	return nil
}
