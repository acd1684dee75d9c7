package oci

import (
	"context"
	"strings"
	"testing"
)

// The way to the public instance ends with the fetch that asks for it.
func TestPublicRootEndsWithItsFetch(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := new(publicRoot).get(ctx); err == nil || !strings.Contains(err.Error(), "trustedRootSecretRef") {
		t.Errorf("without a way there: %v", err)
	}
}
