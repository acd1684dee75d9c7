package cloud

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// azureDevOps is the application whose tokens Azure DevOps accepts (Azure DevOps,
// "Use Microsoft Entra service principals and managed identities").
const azureDevOps = "499b84ac-1321-427f-aa17-267ca6975798/.default"

// AzureDevOpsToken is a bearer token for repositories of Azure DevOps, and until when
// it holds.
func AzureDevOpsToken(ctx context.Context, o Options) (token string, expires time.Time, err error) {
	credential, err := AzureCredential(o)
	if err != nil {
		return "", time.Time{}, err
	}
	got, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureDevOps}})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("Azure gives no token for Azure DevOps: %w", err)
	}
	return got.Token, got.ExpiresOn, nil
}

// codeCommitHost is the form of CodeCommit's hosts (AWS CodeCommit User Guide,
// "Regions and Git connection endpoints").
var codeCommitHost = regexp.MustCompile(`^git-codecommit(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(\.cn)?|api\.aws)$`)

// codeCommitHolds is how long a password for CodeCommit holds: as any signature of
// this kind.
const codeCommitHolds = 15 * time.Minute

// CodeCommitLogin is a user name and a password for one repository of AWS CodeCommit,
// and until when they hold. The password is a signature of the repository's address,
// made as git-remote-codecommit makes it.
func CodeCommitLogin(ctx context.Context, address string, o Options) (username, password string, expires time.Time, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", expires, fmt.Errorf("the address of the repository cannot be parsed")
	}
	parts := codeCommitHost.FindStringSubmatch(u.Hostname())
	if parts == nil || u.Scheme != "https" {
		return "", "", expires, fmt.Errorf("%s is no host of AWS CodeCommit: want https://git-codecommit.REGION.amazonaws.com/v1/repos/NAME, or another provider", u.Hostname())
	}
	o.Region = parts[2]
	credentials, err := AWSCredentials(ctx, o)
	if err != nil {
		return "", "", expires, err
	}
	values, err := credentials.Retrieve(ctx)
	if err != nil {
		return "", "", expires, fmt.Errorf("AWS gives no credentials for CodeCommit: %w", err)
	}
	username = values.AccessKeyID
	if values.SessionToken != "" {
		username += "%" + values.SessionToken
	}
	now := time.Now().UTC()
	return username, codeCommitPassword(u.Hostname(), u.EscapedPath(), o.Region, values.SecretAccessKey, now), now.Add(codeCommitHolds), nil
}

// codeCommitPassword signs (Signature Version 4) a request of the method GIT.
func codeCommitPassword(host, path, region, secret string, now time.Time) string {
	at, day := now.Format("20060102T150405"), now.Format("20060102")
	request := sha256.Sum256(fmt.Appendf(nil, "GIT\n%s\n\nhost:%s\n\nhost\n", path, host))
	text := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s/%s/codecommit/aws4_request\n%s", at, day, region, hex.EncodeToString(request[:]))
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, "codecommit", "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return at + "Z" + hex.EncodeToString(key)
}
