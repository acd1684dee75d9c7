package cloud

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"

	"github.com/plumb-gitops/plumb/source"
)

// gcpStorageScope is what it takes to read buckets.
const gcpStorageScope = "https://www.googleapis.com/auth/devstorage.read_only"

// Name tells apart whose credentials options ask for.
func (o Options) Name() string {
	if o.ServiceAccount == nil {
		return ""
	}
	return fmt.Sprintf("%s/%s %q", o.ServiceAccount.Namespace, o.ServiceAccount.Name, o.ServiceAccount.Annotations)
}

// GoogleStorageToken is a source of tokens for Google Cloud Storage: for the key of a
// service account of Google's, in JSON, or with none for whom o names.
func GoogleStorageToken(ctx context.Context, key []byte, o Options) (oauth2.TokenSource, error) {
	if len(key) == 0 {
		return GCPToken(ctx, o)
	}
	config, err := googleKey(key)
	if err != nil {
		return nil, err
	}
	if o.GCPTokenURL != "" {
		config.TokenURL = o.GCPTokenURL
	}
	return config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, o.client())), nil
}

// CheckGoogleKey tells whether a key of a service account can be used. The error is a
// *source.InvalidError without anything of the key.
func CheckGoogleKey(key []byte) error {
	_, err := googleKey(key)
	return err
}

// googleKey reads a key of a service account. Other kinds of credentials in JSON name
// addresses to send things to, or programs to run, and are not taken.
func googleKey(key []byte) (*jwt.Config, error) {
	config, err := google.JWTConfigFromJSON(key, gcpStorageScope)
	if err != nil || config.Email == "" || !strings.HasPrefix(config.TokenURL, "https://") {
		return nil, &source.InvalidError{Err: errors.New("serviceaccount is no key of a service account of Google Cloud, in JSON")}
	}
	return config, nil
}
