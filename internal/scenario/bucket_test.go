package scenario_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testbucket"
)

// bucket is a bucket of a script.
type bucket interface {
	Publish(tb testing.TB, name string, objects map[string]string)
	Before(hook func(http.ResponseWriter, *http.Request) bool)
}

// placed is a bucket with its name on the server.
type placed struct {
	bucket
	name string
}

// bucket NAME s3|azure DIR: a bucket on a server of its kind, with the content of a
// folder. What it takes to get in is in $NAME_ENDPOINT, $NAME_BUCKET, and
// $NAME_ACCESS and $NAME_SECRET, or $NAME_KEY or $NAME_SAS.
func (s *script) bucket(args []string) {
	name := args[0]
	switch args[1] {
	case "s3":
		server := testbucket.StartS3(s.TB(), testbucket.Options{})
		server.Bucket(s.TB(), "manifests")
		s.buckets[name] = placed{server, "manifests"}
		s.set(name+"_ENDPOINT", server.Address)
		s.set(name+"_ACCESS", server.Access)
		s.set(name+"_SECRET", server.Secret)
	case "azure":
		server := testbucket.StartBlob(s.TB(), testbucket.Options{})
		s.buckets[name] = placed{server, server.Container(s.TB(), false)}
		s.set(name+"_ENDPOINT", server.URL)
		s.set(name+"_KEY", testbucket.AccountKey)
		s.set(name+"_SAS", server.SAS(s.TB(), s.buckets[name].name))
	default:
		s.ts.Fatalf("%s: want s3 or azure", args[1])
	}
	s.set(name+"_BUCKET", s.buckets[name].name)
	s.upload([]string{name, args[2]})
}

// upload NAME DIR: makes a bucket hold the content of a folder. Occurrences of $NS in
// the files are replaced.
func (s *script) upload(args []string) {
	dir := s.ts.MkAbs(args[1])
	s.expand(dir)
	objects := map[string]string{}
	s.ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, path)
		objects[filepath.ToSlash(key)] = string(raw)
		return err
	}))
	to := s.buckets[args[0]]
	to.Publish(s.TB(), to.name, objects)
}

// stall NAME true|false: makes the server of a bucket not answer any more, or work
// again.
func (s *script) stall(args []string) {
	if args[1] != "true" {
		s.buckets[args[0]].Before(nil)
		return
	}
	s.buckets[args[0]].Before(func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return false
	})
}

// set sets a variable, for the script and for the manifests that it applies.
func (s *script) set(name, value string) {
	s.ts.Setenv(name, value)
	s.vars = append(s.vars, "$"+name, value)
}

// filled is a manifest with the variables replaced.
func (s *script) filled(text string) string { return strings.NewReplacer(s.vars...).Replace(text) }
