package flags

import (
	"slices"
	"strings"
	"testing"
)

// TestExpand shows words of one flag joined by |.
func TestExpand(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, args, want string }{
		{"several words per flag", "config create -n c --kustomization name=infra path=./infrastructure prune=true --kustomization name=apps dependsOn=[infra]",
			"config create -n c --kustomization name=infra|path=./infrastructure|prune=true --kustomization name=apps|dependsOn=[infra]"},
		{"the short form", "config create -k name=a prune=true -g group", "config create -k name=a|prune=true -g group"},
		{"the first word behind an equals sign", "config create --kustomization=name=a prune=true --yes", "config create --kustomization=name=a|prune=true --yes"},
		{"the name of one kustomization", "config kustomization delete -k infra -n c", "config kustomization delete -k infra -n c"},
		{"no word at all", "config create -k -n c", "config create -k -n c"},
		{"keys of verification", "config create --verification-config a.pub=QQ== b.pub=Qg== --tag v1", "config create --verification-config a.pub=QQ==|b.pub=Qg== --tag v1"},
		{"signers", `config create --match-oidc-identity {"issuer":"a","subject":"b"} {"issuer":"c","subject":"d"}`, `config create --match-oidc-identity {"issuer":"a","subject":"b"}|{"issuer":"c","subject":"d"}`},
		{"a switch with a value", "config update --suspend true -n c", "config update --suspend=true -n c"},
		{"a switch with a value in capitals", "config kustomization update --prune False", "config kustomization update --prune=false"},
		{"a switch by its other name", "config update --service-principal-client-certificate-send-chain true", "config update --service-principal-client-certificate-send-chain=true"},
		{"a switch alone", "config update --suspend -n c", "config update --suspend -n c"},
		{"a value that happens to be true", "config update --branch true", "config update --branch true"},
		{"flags before the command", "--context x config create -k name=a prune=true", "--context x config create -k name=a|prune=true"},
		{"another command", "get kustomizations -k a b", "get kustomizations -k a b"},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(test.args)
			before := slices.Clone(args)
			got := strings.ReplaceAll(strings.Join(Expand(args), " "), separator, "|")
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if !slices.Equal(args, before) {
				t.Errorf("the arguments themselves became %q", args)
			}
		})
	}
}
