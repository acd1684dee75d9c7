package oci

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// Annotations of a layer that is a simple signature.
const (
	signatureOf   = "dev.cosignproject.cosign/signature"
	certificateOf = "dev.sigstore.cosign/certificate"
	logEntryOf    = "dev.sigstore.cosign/bundle"
	timestampOf   = "dev.sigstore.cosign/rfc3161timestamp"
)

// payload is what a simple signature is on, as far as it counts.
type payload struct {
	Critical struct {
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
	} `json:"critical"`
}

// logEntry is the answer of Rekor that cosign keeps with a signature.
type logEntry struct {
	SignedEntryTimestamp []byte
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"` // hex
	}
}

// The form of a bundle as JSON, of version 0.1: that is the one which does with the
// log's promise that the entry will be included, all that a simple signature has.
type (
	jsonBundle struct {
		MediaType            string       `json:"mediaType"`
		VerificationMaterial jsonMaterial `json:"verificationMaterial"`
		MessageSignature     jsonMessage  `json:"messageSignature"`
	}
	jsonMaterial struct {
		PublicKey   *struct{}       `json:"publicKey,omitempty"`
		Chain       *jsonChain      `json:"x509CertificateChain,omitempty"`
		LogEntries  []jsonLogEntry  `json:"tlogEntries,omitempty"`
		Timestamped *jsonTimestamps `json:"timestampVerificationData,omitempty"`
	}
	jsonChain struct {
		Certificates []jsonBytes `json:"certificates"`
	}
	jsonBytes struct {
		RawBytes []byte `json:"rawBytes"`
	}
	jsonLogEntry struct {
		LogIndex       int64       `json:"logIndex"`
		LogID          jsonLogID   `json:"logId"`
		Kind           jsonKind    `json:"kindVersion"`
		IntegratedTime int64       `json:"integratedTime"`
		Promise        jsonPromise `json:"inclusionPromise"`
		Body           []byte      `json:"canonicalizedBody"`
	}
	jsonLogID struct {
		KeyID []byte `json:"keyId"`
	}
	jsonKind struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	jsonPromise struct {
		SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
	}
	jsonTimestamps struct {
		RFC3161 []jsonTimestamp `json:"rfc3161Timestamps"`
	}
	jsonTimestamp struct {
		SignedTimestamp []byte `json:"signedTimestamp"`
	}
	jsonMessage struct {
		Digest    jsonDigest `json:"messageDigest"`
		Signature []byte     `json:"signature"`
	}
	jsonDigest struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	}
)

// simpleBundle puts a simple signature into the form of a bundle, so that there is
// one way to verify. The error says why it is no signature on that digest.
func simpleBundle(content []byte, annotations map[string]string, on v1.Hash) (*bundle.Bundle, error) {
	var p payload
	if err := json.Unmarshal(content, &p); err != nil {
		return nil, fmt.Errorf("%w: its payload is not JSON", errNotASignature)
	}
	if p.Critical.Image.Digest != on.String() {
		return nil, fmt.Errorf("it is a signature on %q", p.Critical.Image.Digest)
	}
	signature, err := base64.StdEncoding.DecodeString(annotations[signatureOf])
	if err != nil {
		return nil, fmt.Errorf("%w: its annotation %s is not base64", errNotASignature, signatureOf)
	}
	material, err := material(annotations)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	text, err := json.Marshal(jsonBundle{
		MediaType:            "application/vnd.dev.sigstore.bundle+json;version=0.1",
		VerificationMaterial: material,
		MessageSignature:     jsonMessage{jsonDigest{"SHA2_256", sum[:]}, signature},
	})
	if err != nil {
		return nil, err
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotASignature, err)
	}
	return b, nil
}

// material is what a simple signature brings for its verification: nothing, if it
// was made with a key; else a certificate, and proofs of when it was used.
func material(annotations map[string]string) (jsonMaterial, error) {
	block, _ := pem.Decode([]byte(annotations[certificateOf]))
	if block == nil {
		return jsonMaterial{PublicKey: &struct{}{}}, nil
	}
	m := jsonMaterial{Chain: &jsonChain{[]jsonBytes{{block.Bytes}}}}
	if text := annotations[logEntryOf]; text != "" {
		entry, err := convert(text)
		if err != nil {
			return jsonMaterial{}, fmt.Errorf("%w: annotation %s: %w", errNotASignature, logEntryOf, err)
		}
		m.LogEntries = append(m.LogEntries, entry)
	}
	if text := annotations[timestampOf]; text != "" {
		var stamp struct{ SignedRFC3161Timestamp []byte }
		if err := json.Unmarshal([]byte(text), &stamp); err != nil {
			return jsonMaterial{}, fmt.Errorf("%w: annotation %s: %w", errNotASignature, timestampOf, err)
		}
		m.Timestamped = &jsonTimestamps{[]jsonTimestamp{{stamp.SignedRFC3161Timestamp}}}
	}
	return m, nil
}

func convert(text string) (jsonLogEntry, error) {
	var e logEntry
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return jsonLogEntry{}, err
	}
	id, err := hex.DecodeString(e.Payload.LogID)
	if err != nil {
		return jsonLogEntry{}, err
	}
	var kind struct {
		Kind    string
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(e.Payload.Body, &kind); err != nil {
		return jsonLogEntry{}, err
	}
	return jsonLogEntry{
		LogIndex:       e.Payload.LogIndex,
		LogID:          jsonLogID{id},
		Kind:           jsonKind(kind),
		IntegratedTime: e.Payload.IntegratedTime,
		Promise:        jsonPromise{e.SignedEntryTimestamp},
		Body:           e.Payload.Body,
	}, nil
}
