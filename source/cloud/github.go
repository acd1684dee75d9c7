package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// GitHubApp is an app of GitHub that is installed in an account.
type GitHubApp struct {
	ID string
	// Installation is its number in the account; where that is empty Owner names the
	// account, an organization or a user.
	Installation, Owner string
	Key                 []byte // RSA, PEM
	// BaseURL is that of the API, empty for github.com's; for an Enterprise Server it
	// is https://HOST/api/v3.
	BaseURL string
	HTTP    *http.Client
}

// githubAPI is the API of github.com.
const githubAPI = "https://api.github.com"

// appTokenHolds is how long we let a token of the app itself hold; GitHub allows ten
// minutes, and clocks differ ("Generating a JSON Web Token for a GitHub App").
const appTokenHolds, clocksDiffer = 8 * time.Minute, time.Minute

// GitHubUser is the user name that goes with a token of an installation.
const GitHubUser = "x-access-token"

// GitHubAppFromSecret reads an app from the data of a Secret, with the keys that the
// toolkit documents.
func GitHubAppFromSecret(data map[string][]byte) (GitHubApp, error) {
	text := func(key string) string { return strings.TrimSpace(string(data[key])) }
	a := GitHubApp{
		ID: text("githubAppID"), Installation: text("githubAppInstallationID"), Owner: text("githubAppInstallationOwner"),
		Key: data["githubAppPrivateKey"], BaseURL: strings.TrimSuffix(text("githubAppBaseURL"), "/"),
	}
	switch {
	case a.ID == "" || len(a.Key) == 0:
		return a, errors.New("it lacks githubAppID or githubAppPrivateKey")
	case (a.Installation == "") == (a.Owner == ""):
		return a, errors.New("it needs one of githubAppInstallationID and githubAppInstallationOwner")
	}
	for key, number := range map[string]string{"githubAppID": a.ID, "githubAppInstallationID": a.Installation} {
		if _, err := strconv.ParseUint(number, 10, 64); number != "" && err != nil {
			return a, fmt.Errorf("%s is no number", key)
		}
	}
	if _, err := jwt.ParseRSAPrivateKeyFromPEM(a.Key); err != nil {
		return a, errors.New("githubAppPrivateKey is no RSA key in PEM")
	}
	if u, err := url.Parse(a.BaseURL); a.BaseURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return a, errors.New("githubAppBaseURL is no URL: write it as https://host/api/v3")
	}
	return a, nil
}

// Token is a token of the installation, for the password of GitHubUser, and until
// when it holds.
func (a GitHubApp) Token(ctx context.Context) (token string, expires time.Time, err error) {
	installation := a.Installation
	if installation == "" {
		if installation, err = a.find(ctx); err != nil {
			return "", expires, err
		}
	}
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	status, err := a.ask(ctx, http.MethodPost, "/app/installations/"+url.PathEscape(installation)+"/access_tokens", &answer)
	switch {
	case err != nil:
		return "", expires, err
	case status == http.StatusNotFound:
		return "", expires, fmt.Errorf("GitHub knows no installation %s of app %s: check githubAppInstallationID", installation, a.ID)
	case status != http.StatusCreated || answer.Token == "":
		return "", expires, refusedApp(a.ID, status)
	}
	return answer.Token, answer.Expires, nil
}

// find looks for the installation in an account, which may be either kind.
func (a GitHubApp) find(ctx context.Context) (string, error) {
	for _, kind := range []string{"/orgs/", "/users/"} {
		var answer struct {
			ID json.Number `json:"id"`
		}
		status, err := a.ask(ctx, http.MethodGet, kind+url.PathEscape(a.Owner)+"/installation", &answer)
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK && answer.ID != "":
			return answer.ID.String(), nil
		case status != http.StatusNotFound:
			return "", refusedApp(a.ID, status)
		}
	}
	return "", fmt.Errorf("GitHub app %s is not installed for %s: check githubAppInstallationOwner", a.ID, a.Owner)
}

func refusedApp(id string, status int) error {
	return fmt.Errorf("GitHub answers app %s with status %d: check githubAppID, githubAppPrivateKey and that the app may read contents", id, status)
}

// ask sends a request in the name of the app. The errors hold no token.
func (a GitHubApp) ask(ctx context.Context, method, path string, answer any) (status int, err error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM(a.Key)
	if err != nil {
		return 0, errors.New("githubAppPrivateKey is no RSA key in PEM")
	}
	now := time.Now()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: a.ID, IssuedAt: jwt.NewNumericDate(now.Add(-clocksDiffer)), ExpiresAt: jwt.NewNumericDate(now.Add(appTokenHolds)),
	}).SignedString(key)
	if err != nil {
		return 0, err
	}
	base := a.BaseURL
	if base == "" {
		base = githubAPI
	}
	request, err := http.NewRequestWithContext(ctx, method, base+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+signed)
	request.Header.Set("Accept", "application/vnd.github+json")
	response, err := Options{HTTP: a.HTTP}.client().Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return response.StatusCode, nil
	}
	return response.StatusCode, json.NewDecoder(http.MaxBytesReader(nil, response.Body, 1<<20)).Decode(answer)
}
