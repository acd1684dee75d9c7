package testbucket

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"
)

// quiet is where servers log that clients broke off, which tests make them do.
var quiet = log.New(io.Discard, "", 0)

// S3 is a server that speaks S3. It lets in one user, who may do all.
type S3 struct {
	*Server
	Access, Secret string
	client         *minio.Client
}

// StartS3 starts a server without buckets, which ends with the test.
func StartS3(tb testing.TB, o Options) *S3 {
	tb.Helper()
	s := &S3{Access: "reader", Secret: "planted-secret-key"}
	dir, err := os.MkdirTemp("", "s3") // of a socket's path: tb.TempDir may be too long for one
	check(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	for _, folder := range []string{"data", "meta"} {
		check(tb, os.Mkdir(filepath.Join(dir, folder), 0o700))
	}
	cmd := exec.Command(tool(tb, "bin", "versitygw"), "--port", socket, "--quiet", "posix", "--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.Access, "ROOT_SECRET_KEY="+s.Secret)
	check(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	dial := func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "unix", socket) }
	until(tb, func(ctx context.Context) error {
		conn, err := dial(ctx)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	through := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, MaxIdleConnsPerHost: 32}
	s.Server = front(tb, o, &url.URL{Scheme: "http", Host: "s3"}, through)
	s.client, err = minio.New("s3.test", &minio.Options{ // tests' own requests go past the front
		Creds: credentials.NewStaticV4(s.Access, s.Secret, ""), Region: "us-east-1", Transport: through, BucketLookup: minio.BucketLookupPath,
	})
	check(tb, err)
	return s
}

// Bucket makes a bucket.
func (s *S3) Bucket(tb testing.TB, name string) {
	tb.Helper()
	check(tb, s.client.MakeBucket(tb.Context(), name, minio.MakeBucketOptions{}))
}

// Public lets everybody read a bucket.
func (s *S3) Public(tb testing.TB, bucket string) {
	tb.Helper()
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:ListBucket","s3:GetObject","s3:GetBucketLocation"],"Resource":["arn:aws:s3:::%[1]s","arn:aws:s3:::%[1]s/*"]}]}`
	check(tb, s.client.SetBucketPolicy(tb.Context(), bucket, fmt.Sprintf(policy, bucket)))
}

// Put puts objects into a bucket: key -> content.
func (s *S3) Put(tb testing.TB, bucket string, objects map[string]string) {
	tb.Helper()
	group, ctx := errgroup.WithContext(tb.Context())
	group.SetLimit(16)
	for key, content := range objects {
		group.Go(func() error {
			_, err := s.client.PutObject(ctx, bucket, key, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
			return err
		})
	}
	check(tb, group.Wait())
}

// Remove removes an object.
func (s *S3) Remove(tb testing.TB, bucket, key string) {
	tb.Helper()
	check(tb, s.client.RemoveObject(tb.Context(), bucket, key, minio.RemoveObjectOptions{}))
}

// Publish makes a bucket hold exactly these objects.
func (s *S3) Publish(tb testing.TB, bucket string, objects map[string]string) {
	tb.Helper()
	for o := range s.client.ListObjects(tb.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		check(tb, o.Err)
		if _, stays := objects[o.Key]; !stays && !strings.HasSuffix(o.Key, "/") {
			s.Remove(tb, bucket, o.Key)
		}
	}
	s.Put(tb, bucket, objects)
}
