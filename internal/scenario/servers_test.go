package scenario_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testregistry"
)

// registry NAME [tls] [password]: a registry on loopback; its host is in $NAME, its
// authority in $NAME_CA (base64), and $NAME_LOGIN is a .dockerconfigjson (base64).
func (s *script) registry(args []string) {
	o := testregistry.Options{}
	for _, option := range args[1:] {
		switch option {
		case "tls":
			o.TLS = true
		case "password":
			o.Username, o.Password = "reader", "planted-registry-password"
		}
	}
	r := testregistry.Start(s.TB(), o)
	s.registries[args[0]] = r
	login := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, r.Address, o.Username, o.Password)
	s.set(args[0]+"_CA", base64.StdEncoding.EncodeToString(r.CA))
	s.set(args[0]+"_LOGIN", base64.StdEncoding.EncodeToString([]byte(login)))
	s.set(args[0], r.Address)
}

// push NAME REPOSITORY:TAG DIR [VAR]: pushes the content of a folder as the toolkit
// does; $VAR is the digest of its manifest. With "chart" before DIR it is a chart.
func (s *script) push(args []string) {
	r := s.registries[args[0]]
	repository, tag, _ := strings.Cut(args[1], ":")
	if args[2] == "chart" {
		name, content := s.chart(args[3])
		r.Push(s.TB(), repository+"/"+name, tag, testregistry.Artifact{
			Type:   "application/vnd.cncf.helm.config.v1+json",
			Layers: []testregistry.Layer{{MediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", Content: content}},
		})
		return
	}
	d := r.Push(s.TB(), repository, tag, testregistry.Artifact{Layers: []testregistry.Layer{{Content: s.packed(args[2])}}})
	if len(args) > 3 {
		s.set(args[3], d.Digest.String())
	}
}

// packed is the content of a folder as an archive, with $NS replaced.
func (s *script) packed(dir string) []byte {
	return testregistry.TarGz(s.TB(), s.files(dir))
}

// files are those below a folder, with $NS replaced: path -> content.
func (s *script) files(dir string) map[string]string {
	dir = s.ts.MkAbs(dir)
	s.expand(dir)
	out := map[string]string{}
	s.ts.Check(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		out[filepath.ToSlash(name)] = string(raw)
		return err
	}))
	return out
}

// chart packs the chart in a folder, whose Chart.yaml says its name and version.
func (s *script) chart(dir string) (name string, content []byte) {
	files := s.files(dir)
	for line := range strings.Lines(files["Chart.yaml"]) {
		if value, ok := strings.CutPrefix(line, "name: "); ok {
			name = strings.TrimSpace(value)
		}
	}
	return name, testhelm.Chart(s.TB(), name, "0.0.0", files)
}

// charts NAME DIR...: a Helm repository at $NAME with the charts in these folders; a
// second call adds to it.
func (s *script) charts(args []string) {
	h, ok := s.helm[args[0]]
	if !ok {
		h = &helm{Server: testhelm.Start(s.TB(), testhelm.Options{}), charts: map[string][]byte{}}
		s.helm[args[0]] = h
		s.set(args[0], h.URL)
	}
	for _, dir := range args[1:] {
		name, content := s.chart(dir)
		h.charts[name+"-"+version(s.files(dir)["Chart.yaml"])+".tgz"] = content
	}
	h.Publish(s.TB(), h.charts)
}

func version(chart string) string {
	for line := range strings.Lines(chart) {
		if value, ok := strings.CutPrefix(line, "version: "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// helm is a Helm repository of a script.
type helm struct {
	*testhelm.Server
	charts map[string][]byte
}

// archive NAME DIR: an archive of a folder, at the address $NAME with the digest
// $NAME_DIGEST.
func (s *script) archive(args []string) {
	content := s.packed(args[1])
	server := testhelm.Start(s.TB(), testhelm.Options{})
	server.Put("archive.tar.gz", content)
	sum := sha256.Sum256(content)
	s.set(args[0]+"_DIGEST", "sha256:"+hex.EncodeToString(sum[:]))
	s.set(args[0], server.URL+"/archive.tar.gz")
}

// download REF [wrong-path]: what the artifact server has for a source has the size
// and the digest that its status says.
func (s *script) download(args []string) {
	var status struct {
		Path, Digest string
		Size         int64
	}
	obj := s.Ready(s.ref(args[0]))
	artifact, _ := obj.Object["status"].(map[string]any)["artifact"].(map[string]any)
	status.Path, status.Digest = fmt.Sprint(artifact["path"]), fmt.Sprint(artifact["digest"])
	status.Size, _ = artifact["size"].(int64)
	request, err := http.NewRequestWithContext(s.TB().Context(), http.MethodGet, s.Serving("artifacts")+"/"+status.Path, http.NoBody)
	s.ts.Check(err)
	response, err := http.DefaultClient.Do(request)
	s.ts.Check(err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	s.ts.Check(err)
	sum := sha256.Sum256(content)
	if got := "sha256:" + hex.EncodeToString(sum[:]); response.StatusCode != http.StatusOK || got != status.Digest || int64(len(content)) != status.Size {
		s.ts.Fatalf("%s: status %d, %d bytes, digest %s; the source says %d, %s", status.Path, response.StatusCode, len(content), got, status.Size, status.Digest)
	}
}
