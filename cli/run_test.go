package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProfilesAreServedWhenAskedFor(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{"": "", "--pprof-addr": "127.0.0.1:6060", "--pprof-addr=:7000": ":7000"} {
		cmd := newRun(&global{})
		if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		if got := cmd.Flags().Lookup("pprof-addr").Value.String(); got != want {
			t.Errorf("plumb run %s serves profiles at %q, want %q", line, got, want)
		}
	}
	server := httptest.NewServer(profilesHandler())
	t.Cleanup(server.Close)
	for _, path := range []string{"heap", "goroutine", "profile?seconds=1", "trace?seconds=0.1"} {
		answer, err := http.Get(server.URL + "/debug/pprof/" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close() // only whether there is one is looked at
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", path, answer.StatusCode)
		}
	}
}
