package fluxconfig_test

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestKnownHosts holds the built-in keys against the fingerprints that the hosts
// publish: docs.github.com "GitHub's SSH key fingerprints", docs.gitlab.com
// "GitLab.com settings", support.atlassian.com "Configure SSH and two-step
// verification", learn.microsoft.com "Use SSH key authentication" (Azure DevOps).
func TestKnownHosts(t *testing.T) {
	t.Parallel()
	want := []string{
		"github.com SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
		"github.com SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM",
		"github.com SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s",
		"gitlab.com SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
		"gitlab.com SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw",
		"gitlab.com SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ",
		"bitbucket.org SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
		"bitbucket.org SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0",
		"bitbucket.org SHA256:46OSHA1Rmj8E8ERTC6xkNcmGOw9oFxYr0WF6zWW8l1E",
		"ssh.dev.azure.com SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og",
		"vs-ssh.visualstudio.com SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og",
	}
	rest, err := os.ReadFile("known_hosts")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for len(rest) > 0 {
		_, hosts, public, _, after, err := ssh.ParseKnownHosts(rest)
		if err != nil {
			t.Fatal(err)
		}
		have, rest = append(have, hosts[0]+" "+ssh.FingerprintSHA256(public)), after
	}
	if !slices.Equal(have, want) {
		t.Errorf("known hosts are %v, want %v", have, want)
	}
}
