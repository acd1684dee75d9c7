package flags

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestKustomizationWords(t *testing.T) {
	t.Parallel()
	tests := []struct{ words, want string }{
		{"name=infra path=./infrastructure prune=true", `{"name":"infra","path":"./infrastructure","prune":true}`},
		{"prune=FALSE force=true name=a", `{"force":true,"name":"a","prune":false}`},
		{"name=a dependsOn=[b,c]", `{"dependsOn":["b","c"],"name":"a"}`},
		{`name=a depends_on=["b","c"]`, `{"dependsOn":["b","c"],"name":"a"}`},
		{`name=a dependsOn=\["b"\]`, `{"dependsOn":["b"],"name":"a"}`},
		{"name=a depends=b,c,b", `{"dependsOn":["b","c"],"name":"a"}`},
		{"name=a dependencies=[]", `{"dependsOn":[],"name":"a"}`},
		{"name=a depends-on=b", `{"dependsOn":["b"],"name":"a"}`},
		{"name=a timeout=90s", `{"name":"a","timeout":"1m30s"}`},
		{"name=a interval=1h2m5s", `{"name":"a","syncInterval":"1h2m5s"}`},
		{"name=a sync_interval=10m", `{"name":"a","syncInterval":"10m0s"}`},
		{"name=a syncInterval=500ms", `{"name":"a","syncInterval":"500ms"}`},
		{"name=a retry_interval=30s", `{"name":"a","retryInterval":"30s"}`},
		{"name=a retryInterval=1.5h", `{"name":"a","retryInterval":"1h30m0s"}`},
		{"name=a disable-health-check=true", `{"name":"a","wait":false}`},
		{"name=a disable_health_check=True", `{"name":"a","wait":false}`},
		{"name=a disableHealthCheck=false", `{"name":"a","wait":true}`},
		{"name=a path=b=c", `{"name":"a","path":"b=c"}`},
	}
	for _, test := range tests {
		e, err := Kustomization(strings.Fields(test.words))
		if err != nil {
			t.Errorf("%s: %v", test.words, err)
			continue
		}
		if got, _ := json.Marshal(e.Patch); string(got) != test.want {
			t.Errorf("%s: got %s, want %s", test.words, got, test.want)
		}
	}
}

func TestKustomizationWordsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ words, want string }{
		{"path=./a", "give a name, as in name=apps"},
		{"", "give a name"},
		{"name=", "give a name"},
		{"name=A", "small letters"},
		{"name=" + strings.Repeat("a", 62), "at most 61"},
		{"name=a prune=yes", `prune=yes: "yes": want true or false`},
		{"name=a disable-health-check=1", "want true or false"},
		{"name=a interval=10", `interval=10: "10": want a duration with its units`},
		{"name=a interval=10m!", "want a duration with its units"},
		{"name=a timeout=-1s", "want a duration"},
		{"name=a timeout=0s", "want a duration"},
		{"name=a dependsOn=[b", "brackets on both sides"},
		{"name=a prun=true", "one of the keys name, path, dependsOn"},
		{"infra", "of the form KEY=VALUE"},
		{"name=a interval=1m sync_interval=2m", "sync_interval is given twice"},
	}
	for _, test := range tests {
		if _, err := Kustomization(strings.Fields(test.words)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.words, err, test.want)
		}
	}
}
