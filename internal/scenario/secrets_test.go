package scenario

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlantedIsFound: the check that all scenarios end with can fail.
func TestPlantedIsFound(t *testing.T) {
	t.Parallel()
	p := &planted{values: map[string]string{}}
	login := base64.StdEncoding.EncodeToString([]byte(`{"auths":{"r.example.com":{"username":"me","password":"planted-in-login"}}}`))
	for _, obj := range Decode(t, `apiVersion: v1
kind: Secret
metadata: {name: git}
stringData: {username: somebody, password: planted-password, ca.crt: public-authority}
---
apiVersion: v1
kind: Secret
metadata: {name: ssh}
stringData:
  password: short
  identity: |
    -----BEGIN OPENSSH PRIVATE KEY-----
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmU
    -----END OPENSSH PRIVATE KEY-----
---
apiVersion: v1
kind: Secret
metadata: {name: registry}
data: {.dockerconfigjson: `+login+`}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plain}
data: {password: not-a-secret}
`) {
		p.plant(obj)
	}
	for text, want := range map[string][]string{
		"Get http://somebody:planted-password@git: refused":                        {"Secret/git password"},
		"key b3BlbnNzaC1rZXktdjEAAAAABG5vbmU cannot be used":                       {"Secret/ssh identity"},
		"login with planted-in-login":                                              {"Secret/registry .dockerconfigjson"},
		"encoded " + base64.StdEncoding.EncodeToString([]byte("planted-password")): {"Secret/git password"},
		"somebody, public-authority, short, not-a-secret":                          nil,
	} {
		if diff := cmp.Diff(want, p.told(text)); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
}
