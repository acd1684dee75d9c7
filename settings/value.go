package settings

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// What values are right, as errors and the docs say it.
const (
	wantBool     = "true or false"
	wantCount    = "a whole number of at least 1"
	wantDuration = "a duration above 0, such as 30s or 1h"
	wantQuantity = "a quantity, such as 500m or 1Gi"
	wantName     = "the name of a service account"
	wantGUID     = "a GUID, such as 00000000-0000-0000-0000-000000000000"
	wantHostKeys = "an argument such as --ssh-hostkey-algos=rsa-sha2-512,rsa-sha2-256"
)

func want(what string) error { return errors.New("want " + what) }

func boolean(at func(*Settings) *bool) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		v, err := parseBool(text)
		*at(s) = v
		return strconv.FormatBool(v), err
	}
}

// parseBool takes true and false in any case, as the extension does.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, want(wantBool)
	}
}

func ignoredBool(_ *Settings, text string) (string, error) {
	_, err := parseBool(text)
	return "", err
}

func count(least, most int, at func(*Settings) *int) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return text, want(fmt.Sprintf("a whole number from %d to %d", least, most))
		}
		*at(s) = n
		return strconv.Itoa(n), nil
	}
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, want(wantDuration)
	}
	return d, nil
}

func duration(at func(*Settings) *time.Duration) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		d, err := parseDuration(text)
		*at(s) = d
		return d.String(), err
	}
}

func ignoredDuration(_ *Settings, text string) (string, error) {
	_, err := parseDuration(text)
	return "", err
}

func text(what string, right func(string) bool, at func(*Settings) *string) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		if !right(text) {
			return text, want(what)
		}
		*at(s) = text
		return text, nil
	}
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isGUID(text string) bool { return guid.MatchString(text) }

func isName(text string) bool { return len(validation.IsDNS1123Subdomain(text)) == 0 }

func isAny(string) bool { return true }

func level(note func(*Settings, string), levels ...string) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		text = strings.ToLower(text)
		if !slices.Contains(levels, text) {
			return text, want(list(levels))
		}
		note(s, text)
		return text, nil
	}
}

// list is "a, b or c".
func list(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// lower is the level that lets more through; "" lets nothing be said.
func lower(a, b string) string {
	for _, level := range []string{"debug", "info"} {
		if a == level || b == level {
			return level
		}
	}
	return b
}

// largest keeps the larger of what was given for several parts.
func largest(at func(*Settings) *string) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		q, err := resource.ParseQuantity(text)
		if err != nil || q.Sign() <= 0 {
			return text, want(wantQuantity)
		}
		old, err := resource.ParseQuantity(*at(s))
		if err != nil || q.Cmp(old) > 0 {
			*at(s) = q.String()
		}
		return q.String(), nil
	}
}

const hostKeysArgument = "--ssh-hostkey-algos="

// hostKeys reads the argument of the toolkit's controllers. What is not safe any
// more is refused, with what is.
func hostKeys(s *Settings, text string) (string, error) {
	names, ok := strings.CutPrefix(text, hostKeysArgument)
	if !ok || names == "" {
		return text, want(wantHostKeys)
	}
	safe := ssh.SupportedAlgorithms().HostKeys
	algorithms := strings.Split(names, ",")
	for i, name := range algorithms {
		algorithms[i] = strings.TrimSpace(name)
		if !slices.Contains(safe, algorithms[i]) {
			return text, fmt.Errorf("%q is no host key algorithm that is safe: want some of %s", algorithms[i], strings.Join(safe, ", "))
		}
	}
	s.HostKeyAlgorithms = algorithms
	return hostKeysArgument + strings.Join(algorithms, ","), nil
}
