package cloud

import (
	"strings"
	"testing"
	"time"
)

// The values are those of git-remote-codecommit's algorithm, put down step by step:
// the password is the time and the signature, which depends on all that is signed.
func TestCodeCommitPassword(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one := codeCommitPassword("git-codecommit.eu-west-1.amazonaws.com", "/v1/repos/fleet", "eu-west-1", "secret", at)
	if !strings.HasPrefix(one, "20260102T030405Z") || len(one) != len("20260102T030405Z")+64 || strings.Contains(one, "secret") {
		t.Errorf("got %s", one)
	}
	for _, other := range []string{
		codeCommitPassword("git-codecommit.eu-west-1.amazonaws.com", "/v1/repos/other", "eu-west-1", "secret", at),
		codeCommitPassword("git-codecommit.eu-west-2.amazonaws.com", "/v1/repos/fleet", "eu-west-2", "secret", at),
		codeCommitPassword("git-codecommit.eu-west-1.amazonaws.com", "/v1/repos/fleet", "eu-west-1", "other", at),
	} {
		if other == one {
			t.Error("another request has the same signature")
		}
	}
	for host, want := range map[string]bool{"git-codecommit.eu-west-1.amazonaws.com": true, "git-codecommit-fips.us-gov-west-1.amazonaws.com": true, "git-codecommit.cn-north-1.amazonaws.com.cn": true, "git-codecommit.eu-west-1.amazonaws.com.example.com": false} {
		if codeCommitHost.MatchString(host) != want {
			t.Errorf("%s counts as CodeCommit: %t", host, !want)
		}
	}
}
