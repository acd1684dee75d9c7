package testbucket

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/plumb-gitops/plumb/internal/testtls"
)

// The account of Azurite, whose key is published with it.
const (
	Account    = "devstoreaccount1"
	AccountKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Blob is a server of Azure Blob. It knows the account's key, and tokens of Microsoft
// Entra ID of which it checks all but the signature.
type Blob struct {
	*Server
	URL     string // of the account
	url     string // the same, past the front
	through *http.Client
}

// StartBlob gives a way to a server, which the tests of a process share: containers
// need names that only one test has.
func StartBlob(tb testing.TB, o Options) *Blob {
	tb.Helper()
	at, through := azurite(tb)
	b := &Blob{Server: front(tb, o, at, through.Clone()), url: at.String() + "/" + Account, through: &http.Client{Transport: through.Clone()}}
	b.URL = "http://" + b.Address + "/" + Account
	if o.TLS {
		b.URL = "https://" + b.Address + "/" + Account
	}
	return b
}

// running is the server that the tests share.
var running struct {
	sync.Mutex
	at      *url.URL
	through *http.Transport
}

// azurite starts the server unless it runs.
func azurite(tb testing.TB) (*url.URL, *http.Transport) {
	tb.Helper()
	running.Lock()
	defer running.Unlock()
	if running.at != nil {
		return running.at, running.through
	}
	ca := testtls.New(tb)
	dir := tb.TempDir()
	pair := ca.Issue(tb, "localhost")
	for name, content := range map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key} {
		check(tb, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	cmd := exec.Command("node", tool(tb, "azurite", "node_modules", ".bin", "azurite-blob"), "--blobPort", "0", "--inMemoryPersistence", "--silent",
		"--disableTelemetry", "--skipApiVersionCheck", "--oauth", "basic", "--cert", filepath.Join(dir, "cert.pem"), "--key", filepath.Join(dir, "key.pem"))
	cmd.Dir = os.TempDir()
	address := begin(tb, cmd)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.PEM)
	running.at = &url.URL{Scheme: "https", Host: address}
	running.through = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 32}
	return running.at, running.through
}

// listens is the line with which the server says that it is there.
var listens = regexp.MustCompile(`successfully listens on https://([0-9.]+:[0-9]+)`)

// begin starts a program that ends with this process, however that ends: the kernel
// ties it to the thread which starts it, so that thread waits for it.
func begin(tb testing.TB, cmd *exec.Cmd) (address string) {
	tb.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := cmd.StdoutPipe()
	check(tb, err)
	cmd.Stderr = os.Stderr
	found, failed := make(chan string, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			failed <- err
			return
		}
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if line := listens.FindStringSubmatch(lines.Text()); line != nil {
				found <- line[1]
			}
		}
		failed <- fmt.Errorf("the server ended: %w", cmd.Wait())
	}()
	select {
	case address = <-found:
	case err := <-failed:
		tb.Fatal(err)
	case <-time.After(patience):
		tb.Fatal("the server does not start")
	}
	return address
}

// Container makes a container and returns its name, which no other test has.
func (b *Blob) Container(tb testing.TB, public bool) string {
	tb.Helper()
	name := strings.ToLower(regexp.MustCompile(`[^a-zA-Z0-9]`).ReplaceAllString(tb.Name(), ""))
	name = fmt.Sprintf("%.40s%d", name, time.Now().UnixNano())
	options := &container.CreateOptions{}
	if public {
		access := container.PublicAccessTypeContainer
		options.Access = &access
	}
	_, err := b.container(tb, name).Create(tb.Context(), options)
	check(tb, err)
	return name
}

func (b *Blob) container(tb testing.TB, name string) *container.Client {
	tb.Helper()
	key, err := container.NewSharedKeyCredential(Account, AccountKey)
	check(tb, err)
	client, err := container.NewClientWithSharedKeyCredential(b.url+"/"+name, key, &container.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: b.through}})
	check(tb, err)
	return client
}

// Put puts blobs into a container: name -> content.
func (b *Blob) Put(tb testing.TB, name string, blobs map[string]string) {
	tb.Helper()
	for key, content := range blobs {
		_, err := b.container(tb, name).NewBlockBlobClient(key).UploadBuffer(tb.Context(), []byte(content), nil)
		check(tb, err)
	}
}

// Remove removes a blob.
func (b *Blob) Remove(tb testing.TB, name, key string) {
	tb.Helper()
	_, err := b.container(tb, name).NewBlobClient(key).Delete(tb.Context(), nil)
	check(tb, err)
}

// Folder puts what stands for a folder into a container, as accounts with folders do.
func (b *Blob) Folder(tb testing.TB, name, folder string) {
	tb.Helper()
	is := "true"
	_, err := b.container(tb, name).NewBlockBlobClient(folder).UploadBuffer(tb.Context(), nil, &blockblob.UploadBufferOptions{Metadata: map[string]*string{"hdi_isfolder": &is}})
	check(tb, err)
}

// Publish makes a container hold exactly these blobs.
func (b *Blob) Publish(tb testing.TB, name string, blobs map[string]string) {
	tb.Helper()
	c := b.container(tb, name)
	pages := c.NewListBlobsFlatPager(nil)
	for pages.More() {
		page, err := pages.NextPage(tb.Context())
		check(tb, err)
		for _, item := range page.Segment.BlobItems {
			if _, stays := blobs[*item.Name]; !stays {
				b.Remove(tb, name, *item.Name)
			}
		}
	}
	b.Put(tb, name, blobs)
}

// SAS is a token with which a container can be read for an hour.
func (b *Blob) SAS(tb testing.TB, name string) string {
	tb.Helper()
	key, err := container.NewSharedKeyCredential(Account, AccountKey)
	check(tb, err)
	values, err := sas.BlobSignatureValues{
		Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().Add(time.Hour), ContainerName: name,
		Permissions: (&sas.ContainerPermissions{Read: true, List: true}).String(),
	}.SignWithSharedKey(key)
	check(tb, err)
	return values.Encode()
}
