package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ports are free ones, found anew for each start.
type ports struct{ etcd, peer, api, controllers, scheduler, kwok int }

func (p ports) address(port int) string            { return fmt.Sprintf("127.0.0.1:%d", port) }
func (p ports) url(scheme string, port int) string { return scheme + "://" + p.address(port) }

// freePorts holds all ports at once, so that they differ. They lie below those
// that the kernel gives to outgoing connections (ip(7), ip_local_port_range): the
// first components open hundreds before the last one listens.
func freePorts() (p ports, err error) {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
	}()
	for _, port := range []*int{&p.etcd, &p.peer, &p.api, &p.controllers, &p.scheduler, &p.kwok} {
		l, err := listenLow()
		if err != nil {
			return p, err
		}
		listeners = append(listeners, l)
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// listenLow listens on a port chosen by chance, so that clusters that start at
// the same time seldom choose alike.
func listenLow() (l net.Listener, err error) {
	const lowest, count, attempts = 10000, 20000, 100
	for range attempts {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+mathrand.IntN(count))); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no free port from %d to %d: %w", lowest, lowest+count-1, err)
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func kubeconfigFile(dir string) string { return filepath.Join(dir, "kubeconfig") }

// prepare writes the files that the components read.
func (c *cluster) prepare() (err error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if err := writeProcesses(c.dir, nil); err != nil { // the folder is ours before anything else is in it
		return err
	}
	for _, dir := range []string{"logs", "pki", "etcd"} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return err
		}
	}
	if c.ports, err = freePorts(); err != nil {
		return err
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	c.token = hex.EncodeToString(secret)
	if err := c.keys(); err != nil {
		return err
	}
	files := map[string]string{
		"tokens.csv":  c.token + ",admin,admin,system:masters\n",
		"audit.yaml":  "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n",
		"stages.yaml": stages(),
	}
	for name, content := range files {
		if err := os.WriteFile(c.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return c.writeKubeconfig()
}

// stages are KWOK's published fast ones: nodes become Ready, pods Running,
// Completed or gone, at once.
func stages() string {
	return strings.Join([]string{nodefast.DefaultNodeInit, podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete}, "\n---\n")
}

// keys makes a certificate authority, the server's certificate and the key that
// signs service account tokens. The latter stays when etcd's data does.
func (c *cluster) keys() error {
	if _, err := os.Stat(c.path("pki/sa.key")); err != nil {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		if err := writePEM(c.path("pki/sa.key"), "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)); err != nil {
			return err
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := certificate("devcluster")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := certificate("kube-apiserver")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	server.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(c.path("pki/ca.crt"), "CERTIFICATE", caDER),
		writePEM(c.path("pki/server.crt"), "CERTIFICATE", der),
		writePEM(c.path("pki/server.key"), "EC PRIVATE KEY", keyDER))
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (c *cluster) writeKubeconfig() error {
	ca, err := os.ReadFile(c.path("pki/ca.crt"))
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["devcluster"] = &clientcmdapi.Cluster{Server: c.ports.url("https", c.ports.api), CertificateAuthorityData: ca}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: c.token}
	config.Contexts["devcluster"] = &clientcmdapi.Context{Cluster: "devcluster", AuthInfo: "admin"}
	config.CurrentContext = "devcluster"
	return clientcmd.WriteToFile(*config, kubeconfigFile(c.dir))
}
