package settings

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// cases are, for the last word of each setting's name, a value that is right, and
// one that is wrong.
var cases = map[string][2]string{
	"enabled": {"false", "off"}, "log-level": {"error", "loud"}, "cpu": {"500m", "much"}, "memory": {"2Gi", "-1Gi"},
	"enforce": {"TRUE", "yes"}, "default-service-account": {"deployer", "No Name"}, "concurrent": {"6", "0"},
	"requeue-dependency": {"50s", "50"}, "enable-in-memory-build": {"true", "1"}, "strict-substitution-mode": {"false", "no"},
	"additive-ready-expr": {"true", "maybe"}, "allow-remote-bases": {"true", "x"}, "verify-interval": {"1h", "0s"},
	"drift-rules": {"-hpa-replicas", ""}, "insecure-kubeconfig-exec": {"true", "x"}, "insecure-kubeconfig-tls": {"true", "x"},
	"ssh-host-key-args": {"--ssh-hostkey-algos=rsa-sha2-512,rsa-sha2-256", "rsa-sha2-512"}, "detectDrift": {"true", "x"},
	"memoryThreshold": {"80", "101"}, "interval": {"1s", "soon"}, "enable": {"true", "x"},
	"azureClientId": {"12345678-1234-1234-1234-123456789abc", "me"}, "azureTenantId": {"12345678-1234-1234-1234-123456789abc", "us"},
	"useKubeletIdentity": {"true", "x"}, "setKubeServiceHostFqdn": {"true", "x"},
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	for _, key := range Keys() {
		t.Run(key.Name, func(t *testing.T) {
			t.Parallel()
			tc, ok := cases[key.Name[strings.LastIndex(key.Name, ".")+1:]]
			if !ok {
				t.Fatal("there is no case for it")
			}
			given := Values{key.Name: tc[0]}
			if strings.HasPrefix(key.Name, "workloadIdentity.azure") {
				given["workloadIdentity.enable"] = "true"
			}
			s, notes, err := Parse(given)
			if err != nil {
				t.Fatal(err)
			}
			changed := slices.Concat(slices.Collect(maps.Values(Changed(Defaults(), s)))...)
			isDefault := strings.EqualFold(tc[0], key.Default) || key.IsSwitch() && key.Default == "" && tc[0] == "false"
			if got := slices.Contains(changed, key.Name); got == (key.Effect == None || isDefault) {
				t.Errorf("%s=%s: changed is %v", key.Name, tc[0], got)
			}
			if (key.Effect == None) != (len(notes) == 1) {
				t.Errorf("notes are %q", notes)
			}
			if tc[1] == "" {
				return
			}
			if _, _, err := Parse(Values{key.Name: tc[1]}); err == nil || !strings.Contains(err.Error(), key.Name) || !strings.Contains(err.Error(), "want ") {
				t.Errorf("%s=%s: %v, want an error that says what would be right", key.Name, tc[1], err)
			}
		})
	}
}

func TestMeanings(t *testing.T) {
	t.Parallel()
	s, _, err := Parse(Values{
		"multiTenancy.enforce": "true", "source-controller.resources.limits.memory": "2Gi", "helm-controller.resources.limits.memory": "1500Mi",
		"image-reflector-controller.log-level": "error", "image-automation-controller.log-level": "debug", "kustomize-controller.enabled": "False",
		"source-controller.ssh-host-key-args": "--ssh-hostkey-algos=rsa-sha2-512,rsa-sha2-256",
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Account() != "flux-applier" || Defaults().Account() != "" {
		t.Errorf("objects act as %q under tenancy and as %q without", s.Account(), Defaults().Account())
	}
	if s.Deployment.Limits.Memory != "2Gi" || s.LogLevels["image"] != "debug" || s.Kustomizations || !s.Sources {
		t.Errorf("read as %+v", s)
	}
	if !slices.Equal(s.HostKeyAlgorithms, []string{"rsa-sha2-512", "rsa-sha2-256"}) {
		t.Errorf("host keys are %v", s.HostKeyAlgorithms)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		given Values
		want  string
	}{
		"a typo":               {Values{"helm-controler.enabled": "true"}, "did you mean helm-controller.enabled"},
		"a name without group": {Values{"detectdrift": "true"}, "did you mean helm-controller.detectDrift"},
		"nothing like it":      {Values{"colour": "red"}, "docs/settings.md lists them"},
		"two identities":       {Values{"workloadIdentity.enable": "true", "useKubeletIdentity": "true"}, "turn one of them off"},
		"a client for nothing": {Values{"workloadIdentity.azureClientId": "12345678-1234-1234-1234-123456789abc"}, "without workloadIdentity.enable=true"},
		"an unsafe host key":   {Values{"source-controller.ssh-host-key-args": "--ssh-hostkey-algos=ssh-dss"}, "want some of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := Parse(tc.given); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestReading(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"keys and values": "multiTenancy.enforce: true\nkustomize-controller.concurrent: 6\n",
		"a ConfigMap":     "kind: ConfigMap\ndata: {multiTenancy.enforce: 'true', kustomize-controller.concurrent: '6'}\n",
	} {
		got, err := FromFile([]byte(raw))
		if want := (Values{"multiTenancy.enforce": "true", "kustomize-controller.concurrent": "6"}); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := FromFile([]byte("multiTenancy: {enforce: true}")); err == nil || !strings.Contains(err.Error(), "write the key in full") {
		t.Errorf("a map: %v", err)
	}
	if _, err := FromArguments([]string{"multiTenancy.enforce"}); err == nil {
		t.Error("an argument without a value is taken")
	}
	got, err := FromArguments([]string{"log-level=info", "log-level=debug"})
	if err != nil || !maps.Equal(Merge(Values{"log-level": "error", "verify-interval": "1h"}, got, Values{"verify-interval": ""}), Values{"log-level": "debug"}) {
		t.Errorf("merged to %v, %v", got, err)
	}
}

// TestPage holds docs/settings.md to the settings.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `[^`]+` \\|.*$").FindAllString(string(page), -1) {
		have = append(have, m)
	}
	for _, key := range Keys() {
		want = append(want, row(key))
	}
	if !slices.Equal(have, want) {
		t.Errorf("the table has to be:\n%s", strings.Join(want, "\n"))
	}
}

func TestNotYet(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]int{"": 0, "true": 1, "false": 0} {
		if _, notes, err := Parse(Values{"image-reflector-controller.enabled": given}); err != nil || len(notes) != want {
			t.Errorf("image-reflector-controller.enabled=%s: notes are %q, %v", given, notes, err)
		}
	}
	if _, notes, err := Parse(Values{"helm-controller.enabled": "true"}); err != nil || len(notes) != 0 {
		t.Errorf("what is done is noted: %q, %v", notes, err)
	}
}

// row is a setting's line of the page.
func row(k Key) string {
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "` "
	}
	fallback, flag := k.Default, ""
	if fallback == "" && k.IsSwitch() {
		fallback = "false"
	}
	if k.Flag != "" {
		flag = "--" + k.Flag
	}
	meaning := k.Meaning
	if k.note != "" {
		meaning += "; " + k.note
	}
	test := "TestEveryKey/" + k.Name
	if k.Effect == Reinstall { // package install has it
		test = "TestSettingShapesTheInstallation/" + k.Name
	}
	return "| `" + k.Name + "` | " + code(fallback) + "| " + meaning + " | " + k.Want + " | " + string(k.Effect) + " | " + code(flag) + "| `" + test + "` |"
}
