package decrypt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/build/decrypt"
	"github.com/plumb-gitops/plumb/internal/testsops"
)

var plain = map[string]string{
	"yaml":   "kind: Secret\nstringData:\n    password: planted\n",
	"json":   "{\n\"password\": \"planted\"\n}",
	"dotenv": "PASSWORD=planted\n",
	"ini":    "[db]\npassword = planted\n",
	"binary": "planted bytes \x01",
}

func keys(t *testing.T, all ...testsops.Key) *decrypt.Keys {
	t.Helper()
	data := map[string][]byte{}
	for _, k := range all {
		data[k.Entry] = k.Private
	}
	k, err := decrypt.FromSecret(data)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEveryFormWithEveryKey(t *testing.T) {
	t.Parallel()
	for kind, key := range map[string]testsops.Key{"age": testsops.Age(t), "OpenPGP": testsops.OpenPGP(t)} {
		for form, want := range plain {
			encrypted := testsops.Encrypt(t, form, want, "", key)
			if strings.Contains(encrypted, "planted") || !decrypt.Encrypted("file", []byte(encrypted)) {
				t.Fatalf("%s: not encrypted:\n%s", form, encrypted)
			}
			got, err := keys(t, key).File(t.Context(), "file", []byte(encrypted))
			if err != nil {
				t.Errorf("%s, %s: %v", kind, form, err)
			} else if strings.TrimSpace(string(got)) != strings.TrimSpace(want) {
				t.Errorf("%s, %s: %q, want %q", kind, form, got, want)
			}
		}
	}
}

func TestWhatIsNotEncryptedStays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a: 1\n", `{"data": "x", "sops": "no"}`, "sops: a word\n", "# mac: ENC[\n"} {
		if decrypt.Encrypted("file.yaml", []byte(text)) {
			t.Errorf("%q counts as encrypted", text)
		}
	}
}

func TestFilesThatCannotBeDecrypted(t *testing.T) {
	t.Parallel()
	key, other := testsops.Age(t), testsops.Age(t)
	good := testsops.Encrypt(t, "yaml", plain["yaml"], "^stringData$", key)
	tests := []struct {
		name, content string
		keys          *decrypt.Keys
		want          string
	}{
		{"another key", good, keys(t, other), "it needs one of these keys, none of which is in the Secret of spec.decryption: age age1"},
		{"no key at all", good, &decrypt.Keys{}, "it needs one of these keys"},
		{"changed without sops", strings.Replace(good, "kind: Secret", "kind: Other", 1), keys(t, key), "somebody changed the file without sops"},
		{"damaged", strings.Replace(good, "data:", "data:AAAA", 1), keys(t, key), "can't be decrypted"},
		{"no metadata", "a: ENC[\nsops:\n    mac: ENC[x]\n", keys(t, key), "its sops metadata cannot be read"},
	}
	for _, test := range tests {
		_, err := test.keys.File(t.Context(), "secret.yaml", []byte(test.content))
		var refused *decrypt.Error
		if !errors.As(err, &refused) || refused.Passing || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestAKeyServiceThatDoesNotAnswerMayComeBack(t *testing.T) {
	t.Parallel()
	const file = `a: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]
sops:
    hc_vault:
        - vault_address: http://127.0.0.1:1
          engine_path: transit
          key_name: key
          created_at: "2026-01-02T03:04:05Z"
          enc: vault:v1:AAAA
    lastmodified: "2026-01-02T03:04:05Z"
    mac: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]
    version: 3.13.3
`
	k, err := decrypt.FromSecret(map[string][]byte{"sops.vault-token": []byte("planted")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.File(t.Context(), "secret.yaml", []byte(file))
	var refused *decrypt.Error
	if !errors.As(err, &refused) || !refused.Passing || strings.Contains(err.Error(), "planted") {
		t.Errorf("%v", err)
	}
}

func TestSecretsThatHoldNoKey(t *testing.T) {
	t.Parallel()
	for entry, content := range map[string]string{
		"a.agekey":      "planted",
		"a.asc":         "planted",
		"sops.aws-kms":  "planted: true",
		"sops.azure-kv": "planted: true",
	} {
		_, err := decrypt.FromSecret(map[string][]byte{entry: []byte(content)})
		if err == nil || !strings.HasPrefix(err.Error(), entry+": ") || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", entry, err)
		}
	}
	if _, err := decrypt.FromSecret(map[string][]byte{"README": []byte("anything")}); err != nil {
		t.Error(err)
	}
}
