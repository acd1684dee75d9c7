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
---
apiVersion: v1
kind: Secret
metadata: {name: sas}
stringData: {sasKey: "?sv=2021-08-06&sig=planted%2Fsignature"}
---
apiVersion: v1
kind: Secret
metadata: {name: proxy}
stringData: {address: "http://me:planted-in-proxy@127.0.0.1:1"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: repo}
spec: {url: "http://me:planted%20in%20url@127.0.0.1:1/repo.git", ref: {branch: main}}
`) {
		p.plant(obj)
	}
	for text, want := range map[string][]string{
		"Get http://somebody:planted-password@git: refused":                                              {"Secret/git password"},
		"key b3BlbnNzaC1rZXktdjEAAAAABG5vbmU cannot be used":                                             {"Secret/ssh identity"},
		"login with planted-in-login":                                                                    {"Secret/registry .dockerconfigjson"},
		"encoded " + base64.StdEncoding.EncodeToString([]byte("planted-password")):                       {"Secret/git password"},
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("somebody:planted-password")): {"Secret/git password"},
		"signed with planted/signature":                                                                  {"Secret/sas sasKey"},
		"?se=2030&sig=planted%2Fsignature":                                                               {"Secret/sas sasKey"},
		"proxyconnect http://me:planted-in-proxy@127.0.0.1:1":                                            {"Secret/proxy address"},
		"fetch http://me:planted%20in%20url@127.0.0.1:1/repo.git":                                        {"GitRepository/repo spec"},
		"password planted in url":                                                                        {"GitRepository/repo spec"},
		"2021-08-06, http://127.0.0.1:1/repo.git, main":                                                  nil,
		"somebody, public-authority, short, not-a-secret":                                                nil,
	} {
		if diff := cmp.Diff(want, p.told(text)); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
}
